package dispatch

import (
	"time"

	"github.com/postrider/postrider"
)

// leastDefer is the shortest time that a limited delivery is put off for: it has waited in hand before.
const leastDefer = time.Second

// storeAfter is how long a delivery waits whose inline payload is worth storing.
const storeAfter = time.Minute

// deferred puts a delivery off without an attempt.
func (d *Dispatcher) deferred(j *job, reason string, due time.Time) result {
	d.metrics.deferred.WithLabelValues(reason).Inc()
	next := j.delivery
	next.Due = due
	if due.Sub(d.Clock()) < storeAfter {
		next.Event = j.reference(next.Event)
	} else {
		next.Event = d.kept(j, next.Event)
	}
	return result{follow: &follow{lane: postrider.LaneRetry, delivery: next}}
}

// limited puts off a delivery for which there is no slot, until the next one that is not promised; at most until the last
// slot of its window, and then until the window's end, which ends it. One that came after its window, and so had no chance in
// it, waits for its slot as long as that takes: every delivery gets an attempt, however late it comes.
func (d *Dispatcher) limited(j *job, refused why) result {
	now := d.Clock()
	policy := d.policy(j)
	start := postrider.WindowStart(j.delivery.Start, now)
	end, last := start.Add(policy.Window), policy.LastSlot(start, d.Timeout)
	late := !now.Before(end)
	if late && (attempted(j) || !j.delivery.Due.IsZero() && !j.delivery.Due.After(end.Add(leastDefer))) {
		return d.givenUp(j)
	}
	due := now.Add(max(d.slots.promise(&j.claim, refused), leastDefer))
	switch soon := now.Add(leastDefer); {
	case now.Before(last) && due.After(last):
		due = last
	case !now.Before(last) && !late && due.After(soon):
		due = soon
	}
	d.holds.add(j.delivery.TargetID, postrider.HoldLimited, now, due.Add(leastDefer))
	return d.deferred(j, string(refused), due)
}

// attempted reports whether this generation of a delivery had an attempt.
func attempted(j *job) bool { return j.delivery.Attempts > j.delivery.Earlier }

// givenUp ends a delivery at the end of its window.
func (d *Dispatcher) givenUp(j *job) result {
	if attempted(j) {
		return d.final(j, postrider.StateExhausted, postrider.ReasonWindow)
	}
	return d.final(j, postrider.StateExhausted, postrider.ReasonHeld)
}
