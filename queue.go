package postrider

import (
	"context"
	"time"
)

// Lane separates what travels through the queue, so that one kind does not hold up another.
type Lane uint8

// The lanes.
const (
	LaneFirst    Lane = iota // first attempts; dispatchers take them
	LaneRetry                // what waits and must be looked at once its delay is over; retry managers take it
	LaneBulk                 // retries and replays, once they are due; dispatchers take them, after their share for LaneFirst
	LaneOutcomes             // outcomes that the outcome log did not take; archivers take them
	Lanes        = iota
)

// String is the lane's name in metrics and logs.
func (l Lane) String() string { return [...]string{"first", "retry", "bulk", "outcomes"}[l] }

// Limits of a pack.
const (
	MaxPackTargets = 100 // deliveries of one event, or retries of one target
	MaxPackEvents  = 10  // events whose payloads are inline
)

// Pack is several deliveries of one tenant that travel together: one event for many targets, several small events, or
// one target's retries. Deliveries of one event share its *Event, so that its payload is there once.
//
// A pack is not changed after it was put.
type Pack struct {
	Tenant     string
	Deliveries []Delivery
}

// Item is what a lane holds: a pack, or, in LaneOutcomes, outcomes.
type Item struct {
	Lane     Lane
	Delay    time.Duration // 0 to QueueLimits.MaxDelay
	Pack     *Pack
	Outcomes []Outcome
	Durable  bool // it is not taken before its Commit: for who does not put it again if that fails
}

// Queue is the seam of work to be done: put, take a lease, settle. Items come at least once, in no order. Engines: sqlite,
// sqs. Suite: internal/queuetest.
//
// All methods are safe for concurrent use.
type Queue interface {
	// Put adds items. They may be taken before the Commit is durable, where a crash loses them only together with the
	// knowledge that their event was dealt with: whoever puts must not commit a position, or settle, before the Commit, and
	// puts again what fails, or else has it Durable. If the Commit fails, some may have been put, or taken although they are gone: then
	// what follows them is dropped. An item that does not fit (Fits) is refused with CodeTooLarge, and then none is put. Put may block for lack of room; an engine that is away answers CodeUnavailable within a bounded time.
	// Items belong to the queue from then on.
	Put(ctx context.Context, items ...Item) (*Commit, error)

	// Take blocks until the lane has items that are due, and leases at least one. The packs taken have at most Credit
	// deliveries together, save that one pack alone may have more. What is leased is not taken again before the lease
	// expires. Where the engine can, it takes fairly across tenants.
	Take(ctx context.Context, r TakeRequest) ([]*Lease, error)

	// Settle ends a lease: it makes what follows durable, then removes the item. When the Commit is durable both hold;
	// before, or if it fails, the item may come again though what follows was put; until the lease expires it may be settled
	// once more. A lease that has expired is settled all the same; the item may then come again.
	Settle(ctx context.Context, l *Lease, follow ...Item) (*Commit, error)

	// Return gives a lease back undone: the item is due again after a delay of at most QueueLimits.MaxDelay.
	Return(ctx context.Context, l *Lease, delay time.Duration) error

	// Fits reports whether an item is within the size that the queue takes, once encoded.
	Fits(item *Item) bool

	// Limits tells what the queue takes. It does not change while the queue is open.
	Limits() QueueLimits

	// Stats counts what is in the lanes. A count may be approximate and a few seconds old.
	Stats(ctx context.Context) ([Lanes]LaneStats, error)

	// Close ends the queue. Leases that are open expire; Commits that are open are completed first, or failed.
	Close() error
}

// TakeRequest says what a taker wants.
type TakeRequest struct {
	Lane   Lane
	Credit int                      // deliveries that the taker has room for; at least 1
	Full   func(tenant string) bool // a hint: packs of these tenants are not wanted now; nil: all are. Called often, must not block
}

// QueueLimits is what a queue takes.
type QueueLimits struct {
	MaxDelay time.Duration // at least MaxDelay
	Lease    time.Duration // how long a lease lasts
	MaxBytes int           // of an item, once encoded
	Step     time.Duration // delays are rounded up to a multiple of it; 0: a millisecond
	Lead     time.Duration // how long before it is due what waits does well to leave LaneRetry for LaneBulk, with the delay that is left, since that takes its time; 0: not at all
	Gather   time.Duration // how long what waits anyway does well to wait for more that shares its item, since each item costs; 0: not at all
}

// RetryLane is where a delivery waits for its next attempt. Where items cost nothing, and may wait as long, that is the lane from which
// it will be sent: a retry manager would have nothing to do but to move it.
func (l QueueLimits) RetryLane(wait time.Duration) Lane {
	if l.Gather == 0 && wait <= l.MaxDelay {
		return LaneBulk
	}
	return LaneRetry
}

// Lease is an item that is this taker's until it expires.
type Lease struct {
	Item
	Expires  time.Time // by the engine's clock, read through the Clock it was opened with
	Receives int       // how often the item was taken, this time included; the embedded queue forgets it at a restart
	Engine   any       // the engine's own
}

// LaneStats counts one lane.
type LaneStats struct {
	Items   int64         // due or leased
	Delayed int64         // not due yet
	Oldest  time.Duration // age of the oldest item that is due; 0: none, or unknown
}
