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
