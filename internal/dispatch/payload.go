package dispatch

import (
	"context"
	"sync"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/budget"
)

const (
	fetchTimeout = 10 * time.Second // of a payload, the wait for room in the budget included
	fetchPause   = 2 * time.Second  // before a delivery whose payload did not come is tried again
)

// fetches gets payloads that are not in hand, each at most once at a time, within the budget.
type fetches struct {
	events   postrider.EventLog
	payloads postrider.PayloadStore
	budget   *budget.Budget

	mu      sync.Mutex
	flights map[source]*flight
}

// source is where a payload is.
type source struct {
	key      string
	position postrider.Position
}

// flight is a payload that is being fetched, or is in hand for those that share it.
type flight struct {
	done  chan struct{}
	bytes []byte
	err   error
	size  int64
	users int // under fetches.mu
}

func newFetches(events postrider.EventLog, payloads postrider.PayloadStore, b *budget.Budget) *fetches {
	return &fetches{events: events, payloads: payloads, budget: b, flights: make(map[source]*flight)}
}

// payload returns the bytes to send, and what gives them back; or what ends the delivery.
func (d *Dispatcher) payload(j *job) ([]byte, func(), *result) {
	p := &j.delivery.Event.Payload
	if p.InHand() {
		return p.Bytes, func() {}, nil
	}
	if p.Inline() && p.Size == 0 {
		return nil, func() {}, nil
	}
	d.slots.unclaimed(&j.claim) // a fetch takes time, which credit must not wait for
	bytes, release, err := d.fetches.get(j.life.attempts, j.delivery.Event)
	if err == nil {
		return bytes, release, nil
	}
	var r result
	switch code := postrider.CodeOf(err); {
	case j.life.attempts.Err() != nil:
		r = result{back: true}
	case code == postrider.CodeNotFound || code == postrider.CodeGone:
		d.Logger.Error("a payload is lost", "event_id", j.delivery.Event.ID, "tenant", j.lease.Pack.Tenant, "error", err)
		r = d.final(j, postrider.StateExhausted, postrider.ReasonPayloadLost)
	default:
		d.metrics.failures.WithLabelValues("fetch").Inc()
		d.Logger.Debug("a payload was not fetched; trying again", "event_id", j.delivery.Event.ID, "tenant", j.lease.Pack.Tenant, "error", err)
		r = d.deferred(j, "payload", d.Clock().Add(fetchPause))
	}
	return nil, nil, &r
}

// get returns a payload, which is shared and must not be changed, and what gives it back.
func (f *fetches) get(ctx context.Context, e *postrider.Event) ([]byte, func(), error) {
	from := source{key: e.Payload.Key, position: e.Position}
	f.mu.Lock()
	fl := f.flights[from]
	if fl == nil {
		fl = &flight{done: make(chan struct{})}
		f.flights[from] = fl
		go f.fly(ctx, fl, *e)
	}
	fl.users++
	f.mu.Unlock()
	release := func() { f.release(from, e.Tenant, fl) }
	<-fl.done // ends within fetchTimeout
	if fl.err != nil {
		release()
		return nil, nil, fl.err
	}
	return fl.bytes, release, nil
}

func (f *fetches) fly(ctx context.Context, fl *flight, e postrider.Event) {
	defer close(fl.done)
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	if fl.err = f.budget.Acquire(ctx, e.Tenant, e.Payload.Size); fl.err != nil {
		return
	}
	fl.size = e.Payload.Size
	fl.bytes, fl.err = f.read(ctx, &e)
}

func (f *fetches) release(from source, tenant string, fl *flight) {
	f.mu.Lock()
	fl.users--
	last := fl.users == 0
	if last {
		delete(f.flights, from)
	}
	f.mu.Unlock()
	if last {
		f.budget.Release(tenant, fl.size)
	}
}

// read asks the store, then the log. What is missing in both is lost.
func (f *fetches) read(ctx context.Context, e *postrider.Event) ([]byte, error) {
	if e.Payload.Key != "" {
		bytes, err := f.payloads.Get(ctx, e.Payload.Key)
		if err == nil || !missing(err) || e.Position == "" {
			return bytes, err
		}
	}
	if e.Position == "" {
		return nil, postrider.Errorf(postrider.CodeNotFound, "the payload has neither a key nor a position")
	}
	logged, err := f.events.Read(ctx, e.Position)
	if err != nil {
		return nil, err
	}
	if logged.ID != e.ID || logged.Tenant != e.Tenant {
		return nil, postrider.Errorf(postrider.CodeGone, "the log has another event at the payload's position: it began anew")
	}
	return logged.Payload.Bytes, nil
}

func missing(err error) bool {
	code := postrider.CodeOf(err)
	return code == postrider.CodeNotFound || code == postrider.CodeGone
}
