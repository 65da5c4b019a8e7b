package simulation

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// play publishes events for the time of trouble while the world changes and breaks, then lets it rest.
func (w *world) play(seed uint64) {
	end := time.Now().Add(trouble)
	var producers sync.WaitGroup
	for n := range uint64(3) {
		producers.Go(func() { w.produce(n, rand.New(rand.NewPCG(seed, 100+n)), end) })
	}
	for time.Now().Before(end) {
		time.Sleep(w.upTo(20 * time.Second))
		w.upset()
	}
	producers.Wait()
	w.ahead.Store(max(w.ahead.Load(), 0))
	w.settleChanges()
	time.Sleep(rest)
}

func (w *world) upTo(d time.Duration) time.Duration {
	return time.Duration(1 + w.random.Int64N(int64(d)))
}

// produce publishes events one after the other, sometimes several at once.
func (w *world) produce(n uint64, random *rand.Rand, end time.Time) {
	for i := 0; time.Now().Before(end); i++ {
		w.publish(fmt.Sprintf("evt-%d-%d", n, i), random)
		if random.IntN(4) != 0 {
			time.Sleep(time.Duration(random.Int64N(int64(12 * time.Second))))
		}
	}
}

// upset does one thing to the world.
func (w *world) upset() {
	switch w.random.IntN(8) {
	case 0, 1:
		w.crash()
	case 2:
		w.current.Load().stop(w.t)
		w.start(w.current.Load().dir)
	case 3:
		w.jump()
	case 4, 5, 6:
		w.change()
	default: // a quiet time
	}
}

// crash kills the process, and starts another one on what was durable.
func (w *world) crash() {
	dir := w.current.Load().crash(w.t)
	w.upheaval()
	w.t.Logf("%v crash", time.Now())
	w.start(dir)
}

// jump sets the clock, by which times are recorded and judged: timers run on.
func (w *world) jump() {
	by := w.upTo(3*time.Minute) - time.Minute
	w.t.Logf("%v the clock jumps by %v", time.Now(), by)
	w.forward = w.forward || by > 0
	w.ahead.Add(int64(by))
	w.upheaval()
}

func (w *world) upheaval() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.upheavals = append(w.upheavals, time.Now())
}

// change changes a subscription or target that is not steady.
func (w *world) change() {
	p := w.places[2+2*w.random.IntN(2)]
	sub := p.subs[w.random.IntN(len(p.subs))]
	switch w.random.IntN(3) {
	case 0:
		w.must(p.tenant, http.MethodPatch, fmt.Sprintf("/webhooks/subscriptions/%d", sub), map[string]any{"active": false}, nil)
	case 1:
		w.must(p.tenant, http.MethodPatch, fmt.Sprintf("/webhooks/subscriptions/%d", sub), map[string]any{"active": true}, nil)
	default:
		p.receiver.disableOnce()
	}
}

// settleChanges turns on what the script left off.
func (w *world) settleChanges() {
	for _, p := range w.places {
		if !p.steady {
			w.must(p.tenant, http.MethodPost, fmt.Sprintf("/webhooks/targets/%d/enable", p.id), nil, nil)
		}
	}
}
