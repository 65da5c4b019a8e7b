// Package match is the subscription cache: a full index in memory of tenant and event type to targets, which follows the
// database's change feed.
//
// Readers share a lock of one of many stripes of tenants; a change locks its tenant's stripe for as long as its own size
// takes. A full load builds a second index beside the first and takes its place at once.
package match

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
)

// Options are what a cache is made of.
type Options struct {
	Feed       postrider.Feed
	Clock      postrider.Clock       // nil: time.Now
	Logger     *slog.Logger          // nil: nothing is logged
	Registerer prometheus.Registerer // nil: no metrics
}

// Cache is the subscription cache. All methods are safe for concurrent use; none but Run and Sync waits for the database.
type Cache struct {
	feed    postrider.Feed
	clock   postrider.Clock
	log     *slog.Logger
	metrics metrics

	index atomic.Pointer[index]
	ready chan struct{}
	nudge chan struct{} // holds a value while somebody wants the feed to be read now
	heard atomic.Int64  // when the feed last answered, in seconds since 1970

	mu       sync.Mutex
	advanced chan struct{} // closed when the version advances; nil while nobody waits
}

// New makes a cache, which is empty until Run has loaded it.
func New(o Options) *Cache {
	c := &Cache{feed: o.Feed, clock: o.Clock, log: o.Logger, ready: make(chan struct{}), nudge: make(chan struct{}, 1)}
	if c.clock == nil {
		c.clock = time.Now
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.index.Store(newIndex())
	c.metrics.register(o.Registerer, c)
	return c
}

// Ready is closed once the cache was loaded. Before, it matches nothing and judges everything Stale.
func (c *Cache) Ready() <-chan struct{} { return c.ready }

// Version is that of the last change that the cache has.
func (c *Cache) Version() uint64 { return c.index.Load().version.Load() }

// Subscriptions is how many subscriptions the cache holds, active or not.
func (c *Cache) Subscriptions() int64 { return c.index.Load().subscriptions.Load() }

// Ref is a target that an event goes to.
type Ref struct {
	TargetID int64
	Off      bool // the target is off: the delivery is recorded as cancelled and not queued
}

// Match appends to buf, and returns, each target of a tenant that an active subscription gives an event type to, once, in
// the order of their ids. Nothing is allocated but what buf lacks.
//
// The version is that of the newest change that the answer rests on. A cache that has it knows every target returned.
func (c *Cache) Match(tenant, eventType string, buf []Ref) ([]Ref, uint64) {
	return c.index.Load().match(tenant, eventType, buf)
}

// Verdict says what is to be done with a delivery.
type Verdict uint8

// The verdicts.
const (
	Send         Verdict = iota + 1
	Stale                // the cache is older than the delivery and cannot tell: defer
	Deleted              // the target is gone: cancel, target_deleted
	Off                  // the target is off: cancel, target_off
	Unsubscribed         // no active subscription of the target matches the type: cancel, unsubscribed
	Unproven             // the target has yet to prove itself: hold
)

// String is the verdict's name.
func (v Verdict) String() string {
	return [...]string{"", "send", "stale", "deleted", "off", "unsubscribed", "unproven"}[v]
}

// Judge says what is to be done with a delivery that was matched at a version. A cache that is older than that answers
// Stale, whatever it holds. The target is nil if the cache does not hold it or is too old; it is shared and must not be
// changed. Judge allocates nothing.
func (c *Cache) Judge(tenant string, targetID int64, eventType string, version uint64) (*postrider.Target, Verdict) {
	if !c.loaded() {
		return nil, Stale
	}
	ix := c.index.Load()
	if ix.version.Load() < version {
		return nil, Stale
	}
	return ix.judge(tenant, targetID, eventType)
}

// Sync waits until the cache has a version, and has the feed read at once. The error is ctx's cause.
func (c *Cache) Sync(ctx context.Context, version uint64) error {
	for {
		advanced := c.watch()
		if c.loaded() && c.Version() >= version {
			return nil
		}
		select {
		case c.nudge <- struct{}{}:
		default:
		}
		select {
		case <-advanced:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (c *Cache) loaded() bool {
	select {
	case <-c.ready:
		return true
	default:
		return false
	}
}

// watch returns a channel that is closed when the version advances next.
func (c *Cache) watch() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.advanced == nil {
		c.advanced = make(chan struct{})
	}
	return c.advanced
}

func (c *Cache) announce() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.advanced != nil {
		close(c.advanced)
		c.advanced = nil
	}
}
