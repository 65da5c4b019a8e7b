package dispatch

import (
	"context"
	"log/slog"
	"time"

	"github.com/postrider/postrider"
)

// storeAbove is the size above which an inline payload that has to wait is moved to the payload store: packs that wait
// carry references, so that many are cheap.
const storeAbove = 1 << 10

// after decides what follows an attempt.
func (d *Dispatcher) after(j *job, ans answer) result {
	a := &ans.attempt
	defer ans.span.Attempted(a)
	now := d.Clock()
	d.metrics.attempts.WithLabelValues(string(a.Class)).Inc()
	d.metrics.seconds.Observe(a.Duration.Seconds())
	j.delivery.Attempts++
	j.delivery.LastTry = a.StartedAt
	turnedOff := true
	if ans.disable {
		turnedOff = d.turnOff(j, a.Status)
	}
	o := d.outcome(j, now)
	o.Kind, o.Attempt = postrider.OutcomeAttempt, a
	r := result{outcome: o}
	switch {
	case a.Succeeded():
		o.State = postrider.StateDelivered
	case ans.disable && turnedOff:
		o.State, o.Reason = postrider.StateCancelled, postrider.ReasonTargetOff
	case ans.abort:
		o.State, o.Reason = postrider.StateCancelled, postrider.ReasonAborted
	default:
		r.follow = d.again(j, o, &ans, now)
	}
	d.logAttempt(j, o)
	d.ended(j, o)
	return r
}

// again schedules the next attempt, or ends the delivery, in the outcome. It returns what follows.
func (d *Dispatcher) again(j *job, o *postrider.Outcome, ans *answer, now time.Time) *follow {
	due, more := d.policy(j).Next(postrider.Failure{Attempt: j.delivery.Attempts - j.delivery.Earlier, Now: now,
		Start: postrider.WindowStart(j.delivery.Start, now), Timeout: d.Timeout, RetryAfter: ans.retryAfter, Random: d.Random()})
	if !more {
		o.State, o.Reason = postrider.StateExhausted, postrider.ReasonWindow
		return nil
	}
	o.State, o.NextAt = postrider.StateRetrying, due
	ans.span.Scheduled(due)
	next := j.delivery
	next.Due = due
	next.Event = d.kept(j, next.Event)
	return &follow{lane: d.limits.RetryLane(due.Sub(now)), delivery: next}
}

// kept is an event as what waits refers to it. A payload that only travels inline is stored before, unless it is small or
// the store does not take it now.
func (d *Dispatcher) kept(j *job, e *postrider.Event) *postrider.Event {
	if !e.Payload.Inline() || e.Payload.Size <= storeAbove {
		return j.reference(e)
	}
	key := postrider.PayloadKey(e)
	ctx, cancel := context.WithTimeout(j.life.rest, fetchTimeout)
	defer cancel()
	if err := d.stores.put(ctx, key, e.Payload.Bytes); err != nil {
		d.metrics.failures.WithLabelValues("store").Inc()
		d.Logger.Debug("a payload stays inline, since it was not stored", "event_id", e.ID, "tenant", e.Tenant, "error", err)
		return e
	}
	return j.replaced(e, func(stored *postrider.Event) { stored.Payload.Key, stored.Payload.Bytes = key, nil })
}

// final ends a delivery without an attempt.
func (d *Dispatcher) final(j *job, state postrider.State, reason postrider.Reason) result {
	o := d.outcome(j, d.Clock())
	o.Kind, o.State, o.Reason = postrider.OutcomeState, state, reason
	d.ended(j, o)
	return result{outcome: o}
}

func (d *Dispatcher) outcome(j *job, now time.Time) *postrider.Outcome {
	return &postrider.Outcome{At: now.UTC(), Tenant: j.lease.Pack.Tenant, Event: j.delivery.Event.Head(), DeliveryID: j.delivery.ID,
		TargetID: j.delivery.TargetID, Generation: j.delivery.Generation, Attempts: j.delivery.Attempts}
}

// ended counts a final state, and logs a failure.
func (d *Dispatcher) ended(j *job, o *postrider.Outcome) {
	if !o.State.Final() {
		return
	}
	d.metrics.deliveries.WithLabelValues(string(o.State), string(o.Reason)).Inc()
	if o.State != postrider.StateDelivered {
		d.Logger.Info("a delivery ended undelivered", "state", string(o.State), "reason", string(o.Reason), "event_id", o.Event.ID,
			"delivery_id", o.DeliveryID.String(), "target_id", o.TargetID, "tenant", o.Tenant, "attempt", o.Attempts)
	}
}

func (d *Dispatcher) logAttempt(j *job, o *postrider.Outcome) {
	if !d.Logger.Enabled(j.life.rest, slog.LevelDebug) {
		return
	}
	a := o.Attempt
	d.Logger.Debug("attempt", "event_id", o.Event.ID, "delivery_id", o.DeliveryID.String(), "target_id", o.TargetID, "tenant", o.Tenant,
		"attempt", a.Number, "class", string(a.Class), "status", a.Status, "took", a.Duration, "state", string(o.State), "error", a.Error)
}
