package postrider

import "time"

// Kind is a kind of entity in the change feed.
type Kind uint8

// The kinds.
const (
	KindTarget Kind = iota + 1
	KindFilter
	KindSubscription
)

// String is the kind's name.
func (k Kind) String() string { return [...]string{"", "target", "filter", "subscription"}[k] }

// Change is one entry of the change feed. Versions are dense and in commit order: each change takes the next one under one
// counter's lock, in its own transaction. A reader that sees a hole reloads.
type Change struct {
	Version uint64
	Kind    Kind
	ID      int64
	Tenant  string
	By      string // the process that made it
	At      time.Time

	// The entity as it is at this version or a later one; all nil if it is deleted.
	Target       *Target
	Filter       *Filter
	Subscription *Subscription
}

// Deleted reports whether the entity is gone.
func (c *Change) Deleted() bool { return c.Target == nil && c.Filter == nil && c.Subscription == nil }

// HoldReason says why a target's deliveries wait.
type HoldReason string

// The reasons.
const (
	HoldLimited  HoldReason = "limited" // over its concurrency, its rate, or its tenant's share
	HoldBreaker  HoldReason = "breaker"
	HoldUnproven HoldReason = "unproven"
)

// Hold says that a target's deliveries wait. Dispatchers publish their holds to the database, outside the feed, once they
// last over 1 s; deliveries of such a target that are not final show as deferred.
type Hold struct {
	TargetID int64
	Reason   HoldReason
	Since    time.Time
	Until    time.Time // it counts until then, unless it is published again
}

// Notice is an event of Postrider's own that waits to be published: it was stored in the transaction of what it tells of.
type Notice struct {
	ID    int64
	Event Event // payload in hand; no position
}
