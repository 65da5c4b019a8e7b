package consume_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/consume"
	"github.com/postrider/postrider/internal/match"
	"github.com/postrider/postrider/internal/wire"
)

// TestMain leaves out connections that an AWS client keeps idle; benchmarks alone have one.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"))
}

// world is the consumer's surroundings: recording stubs of the seams.
type world struct {
	t        *testing.T
	registry *prometheus.Registry
	options  consume.Options
	cache    *match.Cache
	entities []postrider.Change
	loadable chan struct{}

	batches chan *postrider.EventBatch
	cheap   bool

	mu        sync.Mutex
	positions []postrider.Position // committed
	closed    bool                 // the reader
	items     []postrider.Item     // of LaneFirst
	diverted  []postrider.Outcome
	outcomes  []postrider.Outcome
	stored    map[string][]byte
	stores    int
	held      []func(error) // Commits of the queue that are open
	hold      bool          // Commits of the queue stay open
	fit       int           // what Fits says is the limit
	limit     int           // what the queue takes, in bytes once encoded
	fail      map[string]error
	failOnce  error                       // what the next Commit of the queue fails with
	late      func(*postrider.Item) error // fails the Commit of an item that was taken; the others are stored
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, registry: prometheus.NewRegistry(), loadable: make(chan struct{}), batches: make(chan *postrider.EventBatch, 100),
		stored: make(map[string][]byte), fit: 1 << 20, limit: 1 << 20, fail: make(map[string]error)}
	close(w.loadable)
	w.cache = match.New(match.Options{Feed: feed{w}})
	w.options = consume.Options{Queue: queue{w}, Payloads: payloads{w}, Outcomes: outcomes{w}, Cache: w.cache,
		InlineLimit: 1000, Drain: time.Minute, Registerer: w.registry}
	return w
}

// run starts the consumer and its cache, and returns what stops it; it is to end without an error.
func (w *world) run() (stop func()) {
	end := w.start()
	return func() {
		w.t.Helper()
		if err := end(); err != nil {
			w.t.Error(err)
		}
	}
}

// start starts the consumer and its cache, and returns what stops it and tells how it ended.
func (w *world) start() (stop func() error) {
	ctx, cancel := context.WithCancel(w.t.Context())
	w.options.Events = events{w}
	c := consume.New(w.options)
	done := make(chan error, 1)
	go w.cache.Run(ctx)
	go func() { done <- c.Run(ctx) }()
	synctest.Wait()
	return func() error {
		cancel()
		defer synctest.Wait()
		return <-done
	}
}

// subscribe makes targets of a tenant that get a type.
func (w *world) subscribe(tenant, eventType string, state postrider.TargetState, ids ...int64) {
	for _, id := range ids {
		w.entities = append(w.entities,
			postrider.Change{Kind: postrider.KindTarget, ID: id, Tenant: tenant, Target: &postrider.Target{ID: id, State: state}},
			postrider.Change{Kind: postrider.KindFilter, ID: id, Tenant: tenant, Filter: &postrider.Filter{ID: id, Events: []string{eventType}}},
			postrider.Change{Kind: postrider.KindSubscription, ID: id, Tenant: tenant,
				Subscription: &postrider.Subscription{ID: id, TargetID: id, FilterID: id, Active: true}})
	}
}

func series(from, to int64) (ids []int64) {
	for id := from; id <= to; id++ {
		ids = append(ids, id)
	}
	return ids
}

func event(n int, tenant, eventType string, size int) *postrider.Event {
	return &postrider.Event{ID: fmt.Sprintf("evt_%d", n), Tenant: tenant, Type: eventType, AcceptedAt: time.Now().UTC().Truncate(time.Millisecond),
		Position: position(n), Payload: postrider.Payload{Size: int64(size), Bytes: make([]byte, size)}}
}

func position(n int) postrider.Position { return postrider.Position(fmt.Sprint("p", n)) }

func batchOf(partition string, es ...*postrider.Event) *postrider.EventBatch {
	b := &postrider.EventBatch{Partition: partition, Events: es}
	if len(es) > 0 {
		b.End = es[len(es)-1].Position
	}
	return b
}

func (w *world) feed(bs ...*postrider.EventBatch) {
	for _, b := range bs {
		w.batches <- b
	}
	synctest.Wait()
}

func (w *world) with(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) committed() []postrider.Position {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.positions)
}

// complete ends the open Commits of the queue.
func (w *world) complete(err error) {
	var held []func(error)
	w.with(func() { held, w.held = w.held, nil })
	for _, f := range held {
		f(err)
	}
	synctest.Wait()
}

func (w *world) failing(step string, err error) {
	w.with(func() { w.fail[step] = err })
}

var errDown = postrider.Errorf(postrider.CodeUnavailable, "down")

type feed struct{ *world }

func (f feed) Load(ctx context.Context, yield func(*postrider.Change) error) (uint64, error) {
	select {
	case <-f.loadable:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	for i := range f.entities {
		if err := yield(&f.entities[i]); err != nil {
			return 0, err
		}
	}
	return 7, nil
}
func (feed) Version(context.Context) (uint64, error)                          { return 7, nil }
func (feed) Changes(context.Context, uint64, int) ([]postrider.Change, error) { return nil, nil }
func (feed) Watch(context.Context) <-chan struct{}                            { return nil }

type events struct{ *world }

func (e events) Append(context.Context, []*postrider.Event) (*postrider.Commit, error) {
	return nil, errDown
}
func (e events) Read(context.Context, postrider.Position) (*postrider.Event, error) {
	return nil, errDown
}
func (e events) ReadRange(context.Context, postrider.Position, postrider.Position, int) ([]*postrider.Event, error) {
	return nil, errDown
}
func (events) Expire(context.Context, time.Time) (int, error) { return 0, nil }
func (e events) Limits() postrider.EventLimits                { return postrider.EventLimits{CheapRead: e.cheap} }
func (e events) Close() error                                 { return nil }
func (e events) Reader(context.Context) (postrider.EventReader, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return reader(e), e.fail["reader"]
}

type reader struct{ *world }

func (r reader) Next(ctx context.Context) (*postrider.EventBatch, error) {
	r.mu.Lock()
	err := r.fail["next"]
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case b := <-r.batches:
		return b, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (r reader) Commit(b *postrider.EventBatch) {
	r.with(func() { r.positions = append(r.positions, b.End) })
}

func (r reader) Close() error {
	r.with(func() { r.closed = true })
	return nil
}

type queue struct {
	*world
}

func (q queue) Put(_ context.Context, items ...postrider.Item) (*postrider.Commit, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.fail["put"]; err != nil {
		return nil, err
	}
	for i := range items {
		if size(&items[i]) > q.limit {
			return nil, postrider.Errorf(postrider.CodeTooLarge, "too large")
		}
	}
	var fault error
	for _, item := range items {
		if item.Lane == postrider.LaneOutcomes {
			q.diverted = append(q.diverted, item.Outcomes...)
			return postrider.Committed(), nil
		}
		if q.late != nil {
			if err := q.late(&item); err != nil {
				fault = err
				continue
			}
		}
		q.items = append(q.items, item)
	}
	commit, complete := postrider.NewCommit()
	if fault != nil {
		complete(fault)
		return commit, nil
	}
	if q.hold {
		q.held = append(q.held, complete)
	} else {
		complete(q.failOnce)
		q.failOnce = nil
	}
	return commit, nil
}

func size(item *postrider.Item) int {
	if item.Pack == nil {
		return len(wire.AppendOutcomes(nil, item.Outcomes))
	}
	return len(wire.AppendPack(nil, item.Pack))
}

func (q queue) Fits(item *postrider.Item) bool { return size(item) <= q.fit }
func (q queue) Take(context.Context, postrider.TakeRequest) ([]*postrider.Lease, error) {
	return nil, errDown
}
func (q queue) Settle(context.Context, *postrider.Lease, ...postrider.Item) (*postrider.Commit, error) {
	return nil, errDown
}
func (q queue) Return(context.Context, *postrider.Lease, time.Duration) error { return errDown }
func (q queue) Limits() postrider.QueueLimits                                 { return postrider.QueueLimits{MaxBytes: q.fit} }
func (q queue) Stats(context.Context) (s [postrider.Lanes]postrider.LaneStats, err error) {
	return s, nil
}
func (q queue) Close() error { return nil }

type payloads struct{ *world }

func (p payloads) Put(_ context.Context, key string, payload []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stores++
	if err := p.fail["store"]; err != nil {
		return err
	}
	p.stored[key] = slices.Clone(payload)
	return nil
}
func (payloads) Get(context.Context, string) ([]byte, error)    { return nil, errDown }
func (payloads) Expire(context.Context, time.Time) (int, error) { return 0, nil }
func (payloads) Close() error                                   { return nil }

type outcomes struct{ *world }

func (o outcomes) Record(_ context.Context, all []postrider.Outcome) (*postrider.Commit, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.fail["record"]; err != nil {
		return nil, err
	}
	if err := o.fail["hang"]; err != nil {
		commit, complete := postrider.NewCommit()
		time.AfterFunc(25*time.Second, func() { complete(err) })
		return commit, nil
	}
	if err := o.fail["recorded"]; err != nil {
		commit, complete := postrider.NewCommit()
		complete(err)
		return commit, nil
	}
	o.outcomes = append(o.outcomes, all...)
	return postrider.Committed(), nil
}
func (outcomes) Reader(context.Context, func(context.Context, string) (postrider.Position, error)) (postrider.OutcomeReader, error) {
	return nil, errDown
}
func (outcomes) Close() error { return nil }
