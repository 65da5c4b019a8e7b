package dispatch

import (
	"sync"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/match"
)

const (
	leastStale    = 250 * time.Millisecond
	longStale     = 5 * time.Second
	leastUnproven = time.Second
	longUnproven  = 5 * time.Minute
)

// judge asks the cache, and returns what ends the delivery, or nil if it may be sent.
func (d *Dispatcher) judge(j *job) *result {
	target, verdict := d.Cache.Judge(j.lease.Pack.Tenant, j.delivery.TargetID, j.delivery.Event.Type, j.delivery.Version)
	if verdict == match.Send {
		j.target = target
		return nil
	}
	var r result
	switch verdict {
	case match.Deleted:
		r = d.final(j, postrider.StateCancelled, postrider.ReasonTargetDeleted)
	case match.Off:
		r = d.final(j, postrider.StateCancelled, postrider.ReasonTargetOff)
	case match.Unsubscribed:
		r = d.final(j, postrider.StateCancelled, postrider.ReasonUnsubscribed)
	case match.Unproven:
		j.target = target
		r = d.unproven(j)
	default:
		r = d.deferred(j, "stale", d.Clock().Add(d.stale.pause(d.Cache.Version())))
	}
	return &r
}

// unproven waits for the target's proof until the window ends.
func (d *Dispatcher) unproven(j *job) result {
	now := d.Clock()
	start := postrider.WindowStart(j.delivery.Start, now)
	end := start.Add(d.policy(j).Window)
	if !now.Before(end) {
		return d.givenUp(j)
	}
	due := now.Add(min(max(now.Sub(start)/4, leastUnproven), longUnproven))
	if due.After(end) {
		due = end
	}
	d.holds.add(j.delivery.TargetID, postrider.HoldUnproven, now, due.Add(longUnproven/10))
	return d.deferred(j, "unproven", due)
}

// staleness knows since when the cache is too old, so that deliveries come again ever later while it stays so.
type staleness struct {
	mu      sync.Mutex
	version uint64
	since   time.Time
}

// pause is how long a delivery waits that a cache of a version is too old for.
func (s *staleness) pause(version uint64) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since.IsZero() || s.version != version {
		s.version, s.since = version, time.Now()
	}
	return min(max(time.Since(s.since), leastStale), longStale)
}

// policy is the target's, over the system's.
func (d *Dispatcher) policy(j *job) postrider.RetryPolicy {
	if j.target == nil {
		return d.Retry
	}
	return j.target.Retry.Over(d.Retry)
}
