package dispatch_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/dispatch"
	"github.com/postrider/postrider/internal/match"
	"github.com/postrider/postrider/internal/retry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDown = postrider.Errorf(postrider.CodeUnavailable, "down")

// world is a dispatcher's surroundings: recording stubs of the seams, and a cache that follows a feed in memory.
type world struct {
	t        *testing.T
	registry *prometheus.Registry
	options  dispatch.Options
	queue    *memory
	cache    *match.Cache

	mu        sync.Mutex
	changes   []postrider.Change
	frozen    bool // the feed shows no changes
	watcher   chan struct{}
	fail      map[string]error
	recorded  []postrider.Outcome
	changed   chan struct{} // a signal that more was recorded
	stored    map[string][]byte
	stores    int
	gets      int
	log       map[postrider.Position]postrider.Event
	off       map[int64]string
	offCalls  int
	notices   []*postrider.Event
	announced int
	holds     [][]postrider.Hold
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, registry: prometheus.NewRegistry(), queue: newMemory(), fail: make(map[string]error), stored: make(map[string][]byte),
		log: make(map[postrider.Position]postrider.Event), off: make(map[int64]string), watcher: make(chan struct{}, 1), changed: make(chan struct{}, 1)}
	w.cache = match.New(match.Options{Feed: feed{w}})
	w.options = dispatch.Options{Queue: w.queue, Payloads: payloads{w}, Events: events{world: w}, Outcomes: outcomes{w}, Database: database{w}, Cache: w.cache,
		Open:   func(sealed []byte, _ string) ([]byte, error) { return sealed, nil },
		Random: func() float64 { return 0.5 }, UserAgent: "Postrider/test", Process: "p", Registerer: w.registry,
		Announce: func() { w.with(func() { w.announced++ }) }}
	return w
}

func (w *world) with(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// run starts the dispatcher, its cache and a retry manager, and returns what stops them.
func (w *world) run() (stop func()) {
	cacheCtx, endCache := context.WithCancel(context.Background())
	ctx, cancel := context.WithCancel(w.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.cache.Run(cacheCtx) })
	d := dispatch.New(w.options)
	manager := retry.New(retry.Options{Queue: w.queue})
	wg.Go(func() {
		if err := d.Run(ctx); err != nil {
			w.t.Error(err)
		}
		endCache()
	})
	wg.Go(func() {
		if err := manager.Run(ctx); err != nil {
			w.t.Error(err)
		}
	})
	return func() {
		w.t.Helper()
		cancel()
		wg.Wait()
	}
}

// answer makes a transport of a function.
func (w *world) answer(f func(r *http.Request) (*http.Response, error)) {
	w.options.Transport = func(bool) http.RoundTripper { return transport(f) }
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func reply(status int, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: http.NoBody}
}

// change makes a change in the feed.
func (w *world) change(c postrider.Change) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.Version = uint64(len(w.changes) + 1)
	if c.Target != nil {
		c.Target.Version = c.Version
	}
	w.changes = append(w.changes, c)
	select {
	case w.watcher <- struct{}{}:
	default:
	}
	return c.Version
}

// subscribe makes a target with a filter for everything, and a subscription.
func (w *world) subscribe(tenant string, id int64, edit ...func(*postrider.Target)) uint64 {
	w.target(tenant, id, edit...)
	w.change(postrider.Change{Kind: postrider.KindFilter, ID: id, Tenant: tenant, Filter: &postrider.Filter{ID: id, Tenant: tenant, Events: []string{"*"}}})
	return w.active(tenant, id, true)
}

func (w *world) target(tenant string, id int64, edit ...func(*postrider.Target)) uint64 {
	t := &postrider.Target{ID: id, Tenant: tenant, URL: fmt.Sprintf("http://target-%d.test/hook", id), State: postrider.TargetOn,
		Secrets: []postrider.Secret{{Sealed: secret(int(id))}}}
	for _, f := range edit {
		f(t)
	}
	return w.change(postrider.Change{Kind: postrider.KindTarget, ID: id, Tenant: tenant, Target: t})
}

func (w *world) active(tenant string, id int64, active bool) uint64 {
	return w.change(postrider.Change{Kind: postrider.KindSubscription, ID: id, Tenant: tenant,
		Subscription: &postrider.Subscription{ID: id, Tenant: tenant, TargetID: id, FilterID: id, Active: active}})
}

func secret(n int) []byte { return []byte(fmt.Sprintf("secret-%025d", n)) }

var count struct {
	sync.Mutex
	n int
}

// event makes an event of a tenant, its payload inline.
func event(tenant, payload string) *postrider.Event {
	count.Lock()
	defer count.Unlock()
	count.n++
	return &postrider.Event{ID: fmt.Sprint("evt_", count.n), Tenant: tenant, Type: "a.b", AcceptedAt: time.Now().UTC().Truncate(time.Millisecond),
		Position: postrider.Position(fmt.Sprint("p", count.n)), Payload: postrider.Payload{Size: int64(len(payload)), Bytes: []byte(payload)}}
}

func deliveryOf(e *postrider.Event, target int64) postrider.Delivery {
	return postrider.Delivery{ID: postrider.NewDeliveryID(e, target), Event: e, TargetID: target, Start: e.AcceptedAt}
}

// send puts a pack of one event's deliveries into the first lane.
func (w *world) send(e *postrider.Event, targets ...int64) {
	pack := &postrider.Pack{Tenant: e.Tenant}
	for _, id := range targets {
		pack.Deliveries = append(pack.Deliveries, deliveryOf(e, id))
	}
	w.put(pack)
}

func (w *world) put(pack *postrider.Pack) {
	if _, err := w.queue.Put(w.t.Context(), postrider.Item{Lane: postrider.LaneFirst, Pack: pack}); err != nil {
		w.t.Error(err)
	}
}

func (w *world) outcomes() []postrider.Outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]postrider.Outcome(nil), w.recorded...)
}

// lastHolds are the holds as they were published last, and how often they were.
func (w *world) lastHolds() (last []postrider.Hold, times int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if times = len(w.holds); times > 0 {
		last = w.holds[times-1]
	}
	return last, times
}

// states counts the outcomes by state and reason.
func (w *world) states() map[string]int {
	states := make(map[string]int)
	for _, o := range w.outcomes() {
		name := string(o.State)
		if o.Reason != "" {
			name += "/" + string(o.Reason)
		}
		states[name]++
	}
	return states
}

// metric is the sum of a metric's values, of those whose labels have a value.
func (w *world) metric(name string, labels ...string) float64 {
	w.t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	next:
		for _, m := range f.GetMetric() {
			for i := 0; i+1 < len(labels); i += 2 {
				for _, l := range m.GetLabel() {
					if l.GetName() == labels[i] && l.GetValue() != labels[i+1] {
						continue next
					}
				}
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

// simulated runs a test in a bubble, where time is simulated.
func simulated(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(newWorld(t)) })
}

// pass lets a time pass in a bubble, and all that is to be done in it.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
