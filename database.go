package postrider

import (
	"context"
	"time"
)

// Database is the seam of entities, keys, their change feed, and deliveries. Engines: sqlite, postgres. Suite:
// internal/databasetest.
//
// Every method that names a tenant sees that tenant's rows only: a foreign id is a CodeNotFound. An engine that is away
// answers CodeUnavailable within a bounded time. What is returned is the caller's. All methods are safe for concurrent use.
type Database interface {
	TargetStore
	FilterStore
	SubscriptionStore
	KeyStore
	Feed
	HoldStore
	NoticeStore
	ReplayStore
	Archive

	// CheckSecretKey compares the fingerprint of the secret key with the one the database was written with, and stores it
	// if there is none. CodeConflict if they differ: secrets could not be read.
	CheckSecretKey(ctx context.Context, fingerprint [32]byte) error

	// Close ends the database.
	Close() error
}

// Page says which part of a list is wanted.
type Page struct {
	Limit int    // 1 to MaxPageLimit; 0: DefaultPageLimit
	After string // opaque, from the page before; "" for the first. CodeInvalid (field "after") if it is none
}

// TargetStore keeps targets. Create, Update, Delete and TurnOff each take the next version of the change feed.
type TargetStore interface {
	// CreateTarget stores a target and sets its ID (random, below 2^53), Version and times.
	CreateTarget(ctx context.Context, t *Target) error
	Target(ctx context.Context, tenant string, id int64) (*Target, error)
	// Targets lists oldest first, and returns the next page's After, or "".
	Targets(ctx context.Context, tenant string, p Page) ([]*Target, string, error)
	// UpdateTarget changes a target by change, which is called within the transaction, may be called again, and whose
	// error ends it. If match is not 0 and not the target's version: CodePrecondition. If nothing differs afterwards,
	// nothing is stored and no version is taken.
	UpdateTarget(ctx context.Context, tenant string, id int64, match uint64, change func(*Target) error) (*Target, error)
	// DeleteTarget removes a target; if subscriptions use it: with cascade them too, else CodeConflict. match as above.
	DeleteTarget(ctx context.Context, tenant string, id int64, match uint64, cascade bool) error
	// TurnOff turns a target that is on off, with a reason, and stores the notice in the same transaction. It reports
	// false, and does nothing, if the target is off or gone.
	TurnOff(ctx context.Context, tenant string, id int64, reason string, notice *Event) (bool, error)
}

// FilterStore keeps filters, as TargetStore keeps targets.
type FilterStore interface {
	CreateFilter(ctx context.Context, f *Filter) error
	Filter(ctx context.Context, tenant string, id int64) (*Filter, error)
	Filters(ctx context.Context, tenant string, p Page) ([]*Filter, string, error)
	UpdateFilter(ctx context.Context, tenant string, id int64, match uint64, change func(*Filter) error) (*Filter, error)
	DeleteFilter(ctx context.Context, tenant string, id int64, match uint64, cascade bool) error
}

// SubscriptionStore keeps subscriptions, as TargetStore keeps targets. A target or filter that the tenant does not have is
// a CodeInvalid naming "targetId" or "filterId".
type SubscriptionStore interface {
	CreateSubscription(ctx context.Context, s *Subscription) error
	Subscription(ctx context.Context, tenant string, id int64) (*Subscription, error)
	Subscriptions(ctx context.Context, tenant string, p Page) ([]*Subscription, string, error)
	UpdateSubscription(ctx context.Context, tenant string, id int64, match uint64, change func(*Subscription) error) (*Subscription, error)
	DeleteSubscription(ctx context.Context, tenant string, id int64, match uint64) error
}

// KeyStore keeps the keys of tenants.
type KeyStore interface {
	// CreateKey stores a key and sets its ID and CreatedAt.
	CreateKey(ctx context.Context, k *Key) error
	// Keys lists a tenant's keys, oldest first, at most 1,000.
	Keys(ctx context.Context, tenant string) ([]*Key, error)
	// KeyByHash finds the key that hashes to hash, of any tenant, or CodeNotFound.
	KeyByHash(ctx context.Context, hash [32]byte) (*Key, error)
	DeleteKey(ctx context.Context, tenant string, id int64) error
}

// Feed tells what changed among targets, filters and subscriptions.
type Feed interface {
	// Version is that of the last change; 0 if there was none.
	Version(ctx context.Context) (uint64, error)
	// Changes returns at most limit changes after a version, in order. CodeGone if they are no longer kept: load anew.
	Changes(ctx context.Context, after uint64, limit int) ([]Change, error)
	// Load calls yield for every entity (exactly one pointer of the Change is set) as of one version, and returns that
	// version. An error of yield ends it.
	Load(ctx context.Context, yield func(*Change) error) (uint64, error)
	// Watch returns a channel that gets a value after changes: a hint, which may be missed. It ends with ctx.
	Watch(ctx context.Context) <-chan struct{}
}

// HoldStore keeps what dispatchers publish of their holds.
type HoldStore interface {
	// PutHolds publishes the holds of one process; what it published before and is not among them ends.
	PutHolds(ctx context.Context, process string, holds []Hold) error
}

// NoticeStore keeps Postrider's own events until they are published.
type NoticeStore interface {
	// Notices returns at most limit notices, oldest first.
	Notices(ctx context.Context, limit int) ([]Notice, error)
	// DropNotice forgets one, after it was published.
	DropNotice(ctx context.Context, id int64) error
}

// ReplayStore keeps what is being replayed: until the archive has what a replay recorded, a second one would find the delivery as the
// first did.
type ReplayStore interface {
	// BeginReplay reports whether a generation of a delivery may be replayed. Of all who ask for it, or for one before it, one is told
	// that it may; the others are not, until a time that it gives, or until ForgetReplay. After an error too it may be kept until then.
	// A database that is one process's own may forget it with the process, and all but the newest 10,000.
	BeginReplay(ctx context.Context, id DeliveryID, generation int, until time.Time) (bool, error)
	// ForgetReplay lets a generation be replayed after all: what BeginReplay let begin has failed.
	ForgetReplay(ctx context.Context, id DeliveryID, generation int) error
}

// DeliveryQuery selects deliveries. Zero fields select all. A state is compared as it is shown, so deferred ones are not
// found as pending or retrying.
type DeliveryQuery struct {
	Page
	State     State
	TargetID  int64
	EventID   string
	EventType string
	Since     time.Time // of CreatedAt, included
	Until     time.Time // of CreatedAt, not included
}

// EventRecord is an event as the database shows it.
type EventRecord struct {
	EventHead
	Tenant string
}

// Archive keeps what outcomes tell.
type Archive interface {
	// Archive stores a batch, merged (see DeliveryRecord.Newer), and its End and Through, in one transaction. A batch
	// that was stored before changes nothing. An outcome for a delivery whose fan-out is not there yet makes its row.
	// A batch whose End is "" belongs to no partition (its outcomes came by the queue): only its outcomes are stored.
	Archive(ctx context.Context, b *OutcomeBatch) error
	// ArchivedTo is the End of the last batch stored of a partition, or "".
	ArchivedTo(ctx context.Context, partition string) (Position, error)
	// AsOf is the time up to which the outcomes of every partition are stored; zero if nothing ever was.
	AsOf(ctx context.Context) (time.Time, error)

	// EventRecord returns a tenant's newest event with an id, once its fan-out is stored, or CodeNotFound.
	EventRecord(ctx context.Context, tenant, id string) (*EventRecord, error)
	// Deliveries lists newest first, and returns the next page's After, or "". So that its work is bounded, it may return
	// fewer than asked for, or none, though there is a next page.
	Deliveries(ctx context.Context, tenant string, q DeliveryQuery) ([]DeliveryRecord, string, error)
	Delivery(ctx context.Context, tenant string, id DeliveryID) (*DeliveryRecord, error)
	// Attempts returns a delivery's attempts by number, at most 1,000; of twins each.
	Attempts(ctx context.Context, tenant string, id DeliveryID) ([]Attempt, error)
	// Expire removes final deliveries accepted before a time, with their attempts and what EventRecord shows of their
	// events, in steps that hold nothing up, and returns how many. An engine that removes whole days at once may keep them for up to a day longer, and estimate.
	Expire(ctx context.Context, before time.Time) (int, error)
}
