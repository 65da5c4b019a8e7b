package simulation

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Times of a run, by the bubble's clock. Windows outlast the trouble, so that all that is due can be delivered.
const (
	trouble = 3 * time.Minute // events are published, targets fail, processes die
	rest    = 9 * time.Minute // more than a window after that, for all deliveries to end
)

// place is a target: who owns it, and what it wants.
type place struct {
	tenant   string
	patterns []string // one subscription each
	steady   bool     // it and its subscriptions are not changed

	receiver *receiver
	id       int64
	subs     []int64
}

// published is an event as its producer knows it.
type published struct {
	tenant, eventType string
	digest            [32]byte
	acknowledged      bool
	at                time.Time // when it was published
}

// world is one run of the simulation.
type world struct {
	t         *testing.T
	random    *rand.Rand // of the script alone
	places    []*place
	receivers map[string]*receiver
	current   atomic.Pointer[process]
	ahead     atomic.Int64 // of the bubble's clock, in nanoseconds
	forward   bool         // the clock was set forward: windows end early

	mu        sync.Mutex
	events    map[string]*published
	upheavals []time.Time // crashes and jumps of the clock: what is in flight then may be sent again
}

var (
	types    = [...]string{"a.b", "a.c.d", "z"}
	patterns = [...]string{"*", "a.*", "a.b", "z"}
)

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{t: t, random: rand.New(rand.NewPCG(seed, 1)), receivers: map[string]*receiver{}, events: map[string]*published{}}
	for i, tenant := range [...]string{"acme", "acme", "acme", "beta", "beta"} {
		p := &place{tenant: tenant, steady: i != 2 && i != 4, patterns: w.somePatterns()}
		p.receiver = newReceiver(fmt.Sprintf("t%d.example", i), rand.New(rand.NewPCG(seed, uint64(i)+2)), w.someTemper())
		w.receivers[addr(i)] = p.receiver
		w.places = append(w.places, p)
	}
	w.start(folder(t))
	for _, p := range w.places {
		w.register(p)
	}
	return w
}

// somePatterns draws what a target subscribes to: often more than one subscription matches an event.
func (w *world) somePatterns() []string {
	n := 1 + w.random.IntN(3)
	list := make([]string, n)
	for i := range list {
		list[i] = patterns[w.random.IntN(len(patterns))]
	}
	return list
}

func (w *world) someTemper() temper {
	t := temper{healthy: time.Now().Add(trouble)}
	switch w.random.IntN(5) {
	case 0: // well from the start
	case 1:
		t.slow = 6 * time.Second // some answers come after the timeout
	case 2:
		t.fails, t.slow = 0.5, time.Second
	case 3:
		t.fails, t.later, t.refuses = 0.8, true, 0.3
	default:
		t.hangs, t.fails = 0.3, 0.2
	}
	return t
}

// folder is a new folder, in memory where the machine has one there: the simulation is about order, not about disks.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "postrider-simulation-") //nolint:usetesting // not where t.TempDir is
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (w *world) clock() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

func (w *world) start(dir string) {
	w.current.Store(launch(w.t, dir, w.clock, w.receivers, w.t.Output()))
}

func (w *world) register(p *place) {
	w.t.Helper()
	var target, filter, sub struct{ ID int64 }
	w.must(p.tenant, http.MethodPost, "/webhooks/targets", map[string]any{"url": "http://" + p.receiver.name + "/hook"}, &target)
	p.id = target.ID
	for _, pattern := range p.patterns {
		w.must(p.tenant, http.MethodPost, "/webhooks/filters", map[string]any{"events": []string{pattern}}, &filter)
		w.must(p.tenant, http.MethodPost, "/webhooks/subscriptions", map[string]any{"targetId": p.id, "filterId": filter.ID}, &sub)
		p.subs = append(p.subs, sub.ID)
	}
}

func (w *world) must(tenant, method, path string, body, out any) {
	w.t.Helper()
	w.current.Load().must(w.t, method, path, tenant, body, out)
}

// wants reports whether a place subscribes to an event.
func (p *place) wants(e *published) bool {
	if p.tenant != e.tenant {
		return false
	}
	for _, pattern := range p.patterns {
		prefix, any := strings.CutSuffix(pattern, "*")
		if pattern == e.eventType || any && strings.HasPrefix(e.eventType, prefix) {
			return true
		}
	}
	return false
}

// publish publishes one event, and notes what became of it. Without an answer it may have been accepted all the same.
func (w *world) publish(id string, random *rand.Rand) {
	size := random.IntN(200)
	if random.IntN(8) == 0 {
		size = 2<<10 + random.IntN(80<<10) // it does not travel in the queue
	}
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = byte(random.Uint32())
	}
	e := &published{tenant: "acme", eventType: types[random.IntN(len(types))], digest: sha256.Sum256(payload), at: time.Now()}
	if random.IntN(3) == 0 {
		e.tenant = "beta"
	}
	w.mu.Lock()
	w.events[id] = e
	w.mu.Unlock()
	status, err := w.current.Load().call(http.MethodPost, "/webhooks/events?type="+e.eventType, e.tenant, payload, nil, "Postrider-Event-Id", id)
	w.mu.Lock()
	defer w.mu.Unlock()
	e.acknowledged = err == nil && status == http.StatusAccepted
}
