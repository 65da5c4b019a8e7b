package dispatch

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/postrider/postrider"
)

// result is what became of a delivery in hand: given back, or an outcome, or what follows, or both.
type result struct {
	back    bool
	lapsed  bool // with back: because the lease ends too soon
	outcome *postrider.Outcome
	follow  *follow
}

// deliver deals with one delivery, from the queue to what follows.
func (d *Dispatcher) deliver(j *job) {
	r := d.recovered(j)
	d.slots.unclaimed(&j.claim)
	switch {
	case r.back:
		d.metrics.returned.Inc()
		if j.giveBack(j.delivery, r.lapsed) {
			d.settle(j.life.rest, []*parcel{j.parcel})
		}
	case r.outcome != nil:
		d.recorder.add(entry{outcome: *r.outcome, parcel: j.parcel, follow: r.follow})
	default:
		if j.done(r.follow) && !d.bundled(j.parcel) {
			d.settle(j.life.rest, []*parcel{j.parcel})
		}
	}
}

// recovered is handle, whose panics become failed attempts.
func (d *Dispatcher) recovered(j *job) (r result) {
	started := d.Clock()
	defer func() {
		if fault := recover(); fault != nil {
			d.Logger.Error("a delivery made its dispatcher panic", "delivery_id", j.delivery.ID.String(), "target_id", j.delivery.TargetID,
				"tenant", j.lease.Pack.Tenant, "panic", fmt.Sprint(fault), "stack", string(debug.Stack()))
			r = d.after(j, answer{attempt: postrider.Attempt{Number: j.delivery.Attempts + 1, StartedAt: started, Duration: d.Clock().Sub(started),
				Class: postrider.ClassInternal, Error: "a fault inside Postrider"}})
		}
	}()
	return d.handle(j)
}

// handle takes a delivery through its steps until one of them ends it.
func (d *Dispatcher) handle(j *job) result {
	if len(j.lease.Pack.Deliveries) == 1 && j.lease.Receives >= endAfter {
		return d.final(j, postrider.StateExhausted, postrider.ReasonInternal)
	}
	if r := d.mayBegin(j); r != nil {
		return *r
	}
	j.claim.longest, j.claim.limit = d.Timeout, d.TargetMaxInFlight
	if j.target.MaxInFlight > 0 {
		j.claim.limit = j.target.MaxInFlight
	}
	if !j.inHand() { // of a backlog most are refused, and nothing is to be fetched for them
		if refused := d.slots.refuses(&j.claim); refused != whyNot {
			return d.limited(j, refused)
		}
	}
	body, release, r := d.payload(j)
	if r != nil {
		return *r
	}
	defer release()
	refused := d.slots.acquire(j.life.stop, &j.claim)
	switch refused {
	case whyNot:
		return d.send(j, body)
	case whyStopped:
		return result{back: true}
	}
	return d.limited(j, refused)
}

// mayBegin returns what ends a delivery before its attempt, or nil. The target is as the cache has it now.
func (d *Dispatcher) mayBegin(j *job) *result {
	if j.life.stop.Err() != nil {
		return &result{back: true}
	}
	if !j.outlasts(d.Clock(), d.Timeout) {
		return &result{back: true, lapsed: true}
	}
	return d.judge(j)
}

// send makes the attempt in the slot that was taken, and gives it back.
func (d *Dispatcher) send(j *job, body []byte) result {
	ans, r := d.inSlot(j, body)
	if r != nil {
		return *r
	}
	return d.after(j, ans)
}

func (d *Dispatcher) inSlot(j *job, body []byte) (ans answer, r *result) {
	begin := time.Now()
	defer func() { d.slots.release(&j.claim, time.Since(begin)) }()
	if r := d.mayBegin(j); r != nil { // there may have been a wait since
		return ans, r
	}
	ans = d.attempt(j, body)
	if d.Clock().After(j.lease.Expires) {
		d.metrics.outlived.Inc() // the machine stood still: another may have taken it meanwhile
	}
	return ans, nil
}
