// Package kafka is the events log and the outcome log on Apache Kafka, or a server that speaks its protocol.
//
// Events are Avro records (see codec), produced by an idempotent producer with acks=all and read by a consumer group with
// cooperative rebalancing. Each assigned partition has a worker of its own that decodes its records, so that a record
// that must wait for the schema registry or for the dead-letter topic holds up its own partition only. Offsets are
// committed behind what the reader's user committed, never ahead of it. What can't be an event goes to the dead-letter
// topic; its offset counts as dealt with only after the broker has acknowledged it there.
//
// A position is partition, offset and record timestamp; the last tells a topic that was made anew from the one before.
//
// Outcomes are encoded by package wire and keyed by tenant and event id, so that those of one event meet in one
// partition. Their reader takes its positions from the database; the offsets that it commits serve the measure of lag.
package kafka
