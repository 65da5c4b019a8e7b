package dispatch

import (
	"time"

	"github.com/postrider/postrider"
)

// leastDefer is the shortest time that a limited delivery is put off for: it has waited in hand before.
const leastDefer = time.Second

// deferred puts a delivery off without an attempt.
func (d *Dispatcher) deferred(j *job, reason string, due time.Time) result {
	d.metrics.deferred.WithLabelValues(reason).Inc()
	next := j.delivery
	next.Due = due
	next.Event = j.reference(next.Event)
	return result{follow: &follow{lane: postrider.LaneRetry, delivery: next}}
}

// limited puts off a delivery for which there is no slot, until the next one that is not promised; at most until the last
// slot of its window, and then until the window's end.
func (d *Dispatcher) limited(j *job, refused why) result {
	now := d.Clock()
	policy := d.policy(j)
	start := postrider.WindowStart(j.delivery.Start, now)
	end, last := start.Add(policy.Window), policy.LastSlot(start, d.Timeout)
	if !now.Before(end) && !j.delivery.Due.IsZero() {
		if j.delivery.Attempts > j.delivery.Earlier {
			return d.final(j, postrider.StateExhausted, postrider.ReasonWindow)
		}
		return d.final(j, postrider.StateExhausted, postrider.ReasonHeld)
	}
	due := now.Add(max(d.slots.promise(&j.claim, refused), leastDefer))
	if now.Before(last) && due.After(last) {
		due = last
	}
	if soon := now.Add(leastDefer); !now.Before(last) && due.After(soon) {
		due = soon
	}
	d.holds.add(j.delivery.TargetID, postrider.HoldLimited, now, due.Add(leastDefer))
	return d.deferred(j, string(refused), due)
}
