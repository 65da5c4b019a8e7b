package postrider

import (
	"context"
	"time"
)

// EventLog is the seam of published events: a log, in partitions, that is read by a group of consumers, a tenant's events in a partition
// in order, and again by position. Engines: sqlite, kafka. Suite: internal/eventstest.
//
// All methods are safe for concurrent use.
type EventLog interface {
	// Append adds events. When the Commit is durable, every event has its Position (and AcceptedAt, if it was zero), the
	// events will be read by the group, and Read finds them. If it fails, some may have been added all the same. Until
	// then the events and their payloads belong to the log; after it the log keeps no reference that it would change.
	//
	// Append may block for lack of room. An event over EventLimits.MaxBytes is refused with CodeTooLarge, and then none
	// is added; an engine that is away answers CodeUnavailable within a bounded time.
	Append(ctx context.Context, events []*Event) (*Commit, error)

	// Reader joins the log's group of consumers. At one time each partition is read by one reader of the group. A new
	// group begins at the earliest event.
	Reader(ctx context.Context) (EventReader, error)

	// Read returns the event at a position with its bytes in hand: CodeGone if it is past the log's retention,
	// CodeNotFound if the position is none of this log's, CodeMalformed if what is there is not what was added (a checksum
	// differs), CodeUnavailable if the engine is away.
	Read(ctx context.Context, at Position) (*Event, error)

	// ReadRange returns at most limit (≥ 1) events of one partition in order, from first to last, both included, as Read.
	// Both must be of one partition. What is gone is left out. An empty answer means that the range holds nothing more.
	ReadRange(ctx context.Context, first, last Position, limit int) ([]*Event, error)

	// Expire removes events accepted before a time that the group has read, oldest first, in steps that hold nothing up, and
	// returns how many. A log that expires by itself (the retention of a topic) removes nothing and returns 0.
	Expire(ctx context.Context, before time.Time) (int, error)

	// Limits tells what the log takes. MaxBytes may become less once an engine that was away when the log was opened has
	// answered; CheapRead does not change.
	Limits() EventLimits

	// Close ends the log and its readers. Commits that are open are completed first, or failed.
	Close() error
}

// EventLimits is what an event log takes.
type EventLimits struct {
	MaxBytes  int64 // of a payload
	CheapRead bool  // Read costs no more than a fetch from a payload store: then queue items refer to the position
}

// EventReader reads the partitions assigned to it. Next is called by one goroutine; Commit may be called by another.
type EventReader interface {
	// Next blocks until there are events, and returns the next ones of one partition, those of a tenant in order, their bytes in hand
	// or, if Payload.Log is set and they were not at hand, to be read by position. It returns no event twice, except
	// after its partition was lost and came back, and goes past what was returned without waiting for Commit. The error
	// is ctx's, CodeUnavailable if the engine is away (Next may be called again), or CodeGone after Close.
	Next(ctx context.Context) (*EventBatch, error)

	// Commit says that everything up to the end of the batch is dealt with. Batches of one partition are committed in the
	// order in which Next returned them; one that is Unordered is committed by itself, at any time. It does not block for durability: the position is durable at most 1 s and 1,000
	// events later, or lost with a crash, and the events are then read again. For a partition that was lost it does nothing.
	Commit(b *EventBatch)

	// Close makes the positions committed so far durable and leaves the group.
	Close() error
}

// EventBatch is some events of one partition. Its events belong to the caller.
type EventBatch struct {
	Partition string
	Events    []*Event
	Gap       *Gap            // events were lost before this batch, or nil
	End       Position        // of the last event, or of what was skipped after it
	Unordered bool            // Commit is for these events alone
	Lost      <-chan struct{} // closed when the partition is another reader's; nil: never
}

// Gap is a hole in the log: the position that was to be read next is gone.
type Gap struct {
	From, To Position // first missing, first there again
	Count    int64    // events missing; -1: unknown
}

// EventFinder is implemented by event logs that find an event by its id cheaply, so that the API shows it before its
// fan-out is recorded.
type EventFinder interface {
	// Find returns the newest event of a tenant with an id, without its bytes, or CodeNotFound.
	Find(ctx context.Context, tenant, id string) (*Event, error)
}
