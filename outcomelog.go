package postrider

import (
	"context"
	"time"
)

// OutcomeLog is the seam of outcomes: a log in partitions, read by archivers. Engines: sqlite (into the database itself,
// or as a log), kafka. Suite: internal/outcomestest.
//
// All methods are safe for concurrent use.
type OutcomeLog interface {
	// Record adds outcomes; they are durable with the Commit. Outcomes of one event's deliveries go to one partition as
	// far as the engine can. If it fails, some may have been recorded. The slice and what it points to are not changed
	// by anybody afterwards. Record may block for lack of room; an engine that is away answers CodeUnavailable within a
	// bounded time.
	Record(ctx context.Context, outcomes []Outcome) (*Commit, error)

	// Reader joins the group of archivers. from tells, when a partition is assigned, the position from which it is read:
	// what the database has archived, "" for the beginning. An outcome log that writes straight into the database has
	// nothing to read: it returns nil.
	Reader(ctx context.Context, from func(ctx context.Context, partition string) (Position, error)) (OutcomeReader, error)

	// Close ends the log and its readers.
	Close() error
}

// OutcomeReader reads the partitions assigned to it. It is used by one goroutine.
type OutcomeReader interface {
	// Next blocks until there are outcomes, or time has passed over a partition that has none (Through), and returns the
	// next ones of one partition. Errors as EventReader.Next.
	Next(ctx context.Context) (*OutcomeBatch, error)

	// Archived says that a batch is durable in the database. The log may forget it, within its retention.
	Archived(b *OutcomeBatch)

	// Close leaves the group.
	Close() error
}

// OutcomeBatch is some consecutive outcomes of one partition.
type OutcomeBatch struct {
	Partition string
	Outcomes  []Outcome // none: only Through moved
	End       Position  // from here the partition is read on; stored by the database in the transaction of the batch
	Through   time.Time // every outcome recorded in this partition before it is in this batch or an earlier one
}
