package dispatch

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/budget"
)

const (
	fetchTimeout = 10 * time.Second // of a payload, the wait for room in the budget included
	fetchPause   = 2 * time.Second  // before a delivery whose payload did not come is tried again, at first
	longFetch    = time.Minute      // as fetchPause, once payloads have not come for so long

	idleFor  = 30 * time.Second // a payload that nobody uses is kept
	idlePart = 8                // of the budget that such payloads may hold
	idleCost = 1 << 10          // bytes that each takes besides its payload
)

// fetches gets payloads that are not in hand, each at most once at a time, within the budget. What was fetched is kept for a
// while after its last use, in a part of the budget that is given up as soon as there is need of it: so the packs and the
// early retries of one event cost one fetch.
type fetches struct {
	events   postrider.EventLog
	payloads postrider.PayloadStore
	budget   *budget.Budget

	mu      sync.Mutex
	flights map[source]*flight
	idle    list.List // of *flight that nobody uses, the latest first
	held    int64     // bytes of those
	since   time.Time // when fetches began to fail; zero: the last one did not
}

// source is where a payload is.
type source struct {
	key      string
	position postrider.Position
}

// flight is a payload that is being fetched, or is in hand for those that share it.
type flight struct {
	from   source
	tenant string
	done   chan struct{}
	bytes  []byte
	err    error
	size   int64

	users int           // under fetches.mu
	place *list.Element // among the idle, under fetches.mu
	left  time.Time     // when the last user left, under fetches.mu
}

func newFetches(events postrider.EventLog, payloads postrider.PayloadStore, b *budget.Budget) *fetches {
	return &fetches{events: events, payloads: payloads, budget: b, flights: make(map[source]*flight)}
}

// inHand reports whether nothing has to be fetched.
func (j *job) inHand() bool {
	p := &j.delivery.Event.Payload
	return p.InHand() || p.Inline() && p.Size == 0
}

// payload returns the bytes to send, and what gives them back; or what ends the delivery.
func (d *Dispatcher) payload(j *job) ([]byte, func(), *result) {
	if j.inHand() {
		return j.delivery.Event.Payload.Bytes, func() {}, nil
	}
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
		r = d.deferred(j, "payload", d.Clock().Add(d.fetches.pause()))
	}
	return nil, nil, &r
}

// get returns a payload, which is shared and must not be changed, and what gives it back.
func (f *fetches) get(ctx context.Context, e *postrider.Event) ([]byte, func(), error) {
	from := source{key: e.Payload.Key, position: e.Position}
	f.mu.Lock()
	fl := f.flights[from]
	if fl == nil {
		fl = &flight{from: from, tenant: e.Tenant, done: make(chan struct{})}
		f.flights[from] = fl
		go f.fly(ctx, fl, *e)
	}
	f.busy(fl)
	fl.users++
	f.mu.Unlock()
	release := func() { f.release(fl) }
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
	if !f.budget.TryAcquire(e.Tenant, e.Payload.Size) {
		f.dropIdle()
		if fl.err = f.budget.Acquire(ctx, e.Tenant, e.Payload.Size); fl.err != nil {
			return
		}
	}
	fl.size = e.Payload.Size
	fl.bytes, fl.err = f.read(ctx, &e)
	f.saw(fl.err)
}

// saw notes whether payloads come.
func (f *fetches) saw(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err == nil || missing(err):
		f.since = time.Time{}
	case f.since.IsZero():
		f.since = time.Now()
	}
}

// pause is how long a delivery is put off whose payload did not come: longer while none does.
func (f *fetches) pause() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.since.IsZero() {
		return fetchPause
	}
	return min(max(time.Since(f.since), fetchPause), longFetch)
}

// release ends one use of a payload.
func (f *fetches) release(fl *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl.users--; fl.users > 0 {
		return
	}
	if fl.err != nil || fl.size > f.budget.Total()/(2*idlePart) {
		f.forget(fl)
		return
	}
	fl.left = time.Now()
	fl.place = f.idle.PushFront(fl)
	f.held += fl.size + idleCost
	for f.held > f.budget.Total()/idlePart {
		f.dropOldest()
	}
}

// busy takes a payload out of those that nobody uses.
func (f *fetches) busy(fl *flight) {
	if fl.place == nil {
		return
	}
	f.idle.Remove(fl.place)
	fl.place = nil
	f.held -= fl.size + idleCost
}

func (f *fetches) forget(fl *flight) {
	delete(f.flights, fl.from)
	f.budget.Release(fl.tenant, fl.size)
}

func (f *fetches) dropOldest() {
	if fl, ok := f.idle.Back().Value.(*flight); ok {
		f.busy(fl)
		f.forget(fl)
	}
}

// dropIdle drops all that nobody uses.
func (f *fetches) dropIdle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.idle.Len() > 0 {
		f.dropOldest()
	}
}

// sweep drops what nobody has used for a while, or all of it while half of the budget is held, of which others need some too.
func (f *fetches) sweep() {
	if f.budget.Held() > f.budget.Total()/2 {
		f.dropIdle()
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.idle.Len() > 0 {
		if fl, ok := f.idle.Back().Value.(*flight); ok && time.Since(fl.left) < idleFor {
			return
		}
		f.dropOldest()
	}
}

// read asks the store, then the log. What is missing in both is lost; what the store has, though damaged, is not.
func (f *fetches) read(ctx context.Context, e *postrider.Event) ([]byte, error) {
	if e.Payload.Key == "" {
		return f.readLog(ctx, e)
	}
	stored, err := f.payloads.Get(ctx, e.Payload.Key)
	damaged := postrider.CodeOf(err) == postrider.CodeMalformed
	if err == nil || !missing(err) && !damaged {
		return stored, err
	}
	logged, logErr := f.readLog(ctx, e)
	if damaged && logErr != nil {
		return nil, err
	}
	return logged, logErr
}

func (f *fetches) readLog(ctx context.Context, e *postrider.Event) ([]byte, error) {
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
