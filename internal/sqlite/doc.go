// Package sqlite keeps the whole embedded system in one file: events, queue, payloads, outcomes and database.
//
// One goroutine writes (see writer). Whatever is asked of it while a transaction commits goes into the next one, so that all
// seams share one fsync, and every write of a group has the same postrider.Commit. What nobody waits for makes no group of its
// own for 5 ms. The file is in WAL mode with synchronous=FULL: a Commit that is done has been synced. Readers have connections
// of their own, in short read transactions.
//
// Payloads of up to 64 KiB stand in the row that they belong to. Larger ones are cut into chunks of 256 KiB, written ahead
// of that row, at most four in a group: a payload of 16 MiB then holds no group up for longer than one of 1 MiB, and the
// writes of others go in between. Chunks whose row was never written are removed when the file is opened.
//
// One process owns a folder: a lock on the file "lock" in it keeps a second one out.
package sqlite
