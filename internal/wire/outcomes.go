package wire

import (
	"time"

	"github.com/postrider/postrider"
)

// Flags of an outcome, and of its attempt.
const (
	sameEvent   flag = 1 << iota // tenant and event are those of the outcome before
	withAttempt                  // an attempt follows
	fannedOut                    // it has targets, and no delivery
)

// minOutcome is how many bytes an outcome takes at least.
const minOutcome = 4

// AppendOutcomes appends outcomes to dst. It reads them, and keeps nothing of them.
func AppendOutcomes(dst []byte, outcomes []postrider.Outcome) []byte {
	w := newWriter(dst, kindOutcomes)
	w.count(len(outcomes))
	previous := &postrider.Outcome{}
	for i := range outcomes {
		w.outcome(&outcomes[i], previous)
		previous = &outcomes[i]
	}
	return w.end()
}

func (w *writer) outcome(o, previous *postrider.Outcome) {
	var f flag
	f.set(sameEvent, o.Tenant == previous.Tenant && sameHead(&o.Event, &previous.Event))
	f.set(withAttempt, o.Attempt != nil)
	f.set(fannedOut, o.Kind == postrider.OutcomeFanOut)
	w.byte(byte(f))
	w.byte(byte(o.Kind))
	if !f.has(sameEvent) {
		w.eventHead(o)
	}
	base := micros.of(o.Event.AcceptedAt)
	w.time(o.At, micros, base)
	if f.has(fannedOut) {
		w.targets(o.Targets)
		w.targets(o.Off)
	} else {
		w.progress(o, base)
	}
	if f.has(withAttempt) {
		w.attempt(o.Attempt, base)
	}
}

func sameHead(a, b *postrider.EventHead) bool {
	return a.ID == b.ID && a.Position == b.Position && a.Type == b.Type && a.ContentType == b.ContentType && a.Size == b.Size &&
		a.AcceptedAt.Equal(b.AcceptedAt)
}

func (w *writer) eventHead(o *postrider.Outcome) {
	e := &o.Event
	w.label(o.Tenant)
	w.string(e.ID)
	w.label(e.Type)
	w.label(e.ContentType)
	w.time(e.AcceptedAt, millis, 0)
	w.string(string(e.Position))
	w.uint(uint64(max(e.Size, 0)))
}

func (w *writer) targets(ids []int64) {
	w.count(len(ids))
	for _, id := range ids {
		w.uint(uint64(id))
	}
}

func (w *writer) progress(o *postrider.Outcome, base int64) {
	w.b = append(w.b, o.DeliveryID[:]...)
	w.uint(uint64(o.TargetID))
	w.count(o.Generation)
	w.count(o.Attempts)
	w.label(string(o.State))
	w.label(string(o.Reason))
	w.time(o.NextAt, micros, base)
}

func (w *writer) attempt(a *postrider.Attempt, base int64) {
	w.count(a.Number)
	w.time(a.StartedAt, micros, base)
	w.uint(uint64(max(a.Duration, 0) / time.Microsecond))
	w.label(string(a.Class))
	w.count(a.Status)
	w.label(a.Error)
	w.late(a.Head)
}

// DecodeOutcomes reads what AppendOutcomes wrote. The heads of responses share memory with b. The error is a CodeMalformed.
func DecodeOutcomes(b []byte) ([]postrider.Outcome, error) {
	r, err := open(b, kindOutcomes, "outcomes")
	if err != nil {
		return nil, err
	}
	// An outcome in memory is many times one of the least size, so the slice grows as outcomes are read.
	n := r.length(minOutcome)
	outcomes := make([]postrider.Outcome, 0, min(n, 64))
	previous := &postrider.Outcome{}
	for range n {
		if r.bad {
			break
		}
		outcomes = append(outcomes, r.outcome(previous))
		previous = &outcomes[len(outcomes)-1]
	}
	if !r.end() {
		return nil, malformed("outcomes")
	}
	return outcomes, nil
}

func (r *reader) outcome(previous *postrider.Outcome) (o postrider.Outcome) {
	f := flag(r.byte())
	o.Kind = postrider.OutcomeKind(r.byte())
	if o.Kind < postrider.OutcomeFanOut || o.Kind > postrider.OutcomeState || f.has(fannedOut) != (o.Kind == postrider.OutcomeFanOut) {
		r.fail()
	}
	if f.has(sameEvent) {
		o.Tenant, o.Event = previous.Tenant, previous.Event
	} else {
		r.eventHead(&o)
	}
	base := micros.of(o.Event.AcceptedAt)
	o.At = r.time(micros, base)
	if f.has(fannedOut) {
		o.Targets, o.Off = r.targets(), r.targets()
	} else {
		r.progress(&o, base)
	}
	if f.has(withAttempt) {
		o.Attempt = r.attempt(base)
	}
	return o
}

func (r *reader) eventHead(o *postrider.Outcome) {
	o.Tenant = r.label()
	o.Event = postrider.EventHead{ID: r.string(), Type: r.label(), ContentType: r.label(), AcceptedAt: r.time(millis, 0),
		Position: postrider.Position(r.string()), Size: r.int63()}
}

func (r *reader) targets() []int64 {
	n := r.length(1)
	if n == 0 {
		return nil
	}
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = r.int63()
	}
	return ids
}

func (r *reader) progress(o *postrider.Outcome, base int64) {
	copy(o.DeliveryID[:], r.fixed(len(o.DeliveryID)))
	o.TargetID = r.int63()
	o.Generation, o.Attempts = r.count(), r.count()
	o.State, o.Reason = postrider.State(r.label()), postrider.Reason(r.label())
	o.NextAt = r.time(micros, base)
}

func (r *reader) attempt(base int64) *postrider.Attempt {
	a := &postrider.Attempt{Number: r.count(), StartedAt: r.time(micros, base)}
	a.Duration = time.Duration(min(r.int63(), int64(24*time.Hour/time.Microsecond))) * time.Microsecond
	a.Class = postrider.Class(r.label())
	a.Status = r.count()
	a.Error = r.label()
	a.Head = r.late()
	return a
}
