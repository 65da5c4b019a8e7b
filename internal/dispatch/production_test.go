package dispatch_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// TestOnePutForManyFailures: a payload that has to wait is stored once, however many targets of its event fail and in however
// many packs they came, under the key that the consumer would have used.
func TestOnePutForManyFailures(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		w.answer(func(*http.Request) (*http.Response, error) { return reply(500), nil })
		for id := int64(1); id <= 40; id++ {
			w.subscribe("t", id)
		}
		stop := w.run()
		e := event("t", strings.Repeat("x", 5000))
		for id := int64(1); id <= 40; id += 10 {
			copied := *e // each pack is decoded by itself
			w.send(&copied, id, id+1, id+2, id+3, id+4, id+5, id+6, id+7, id+8, id+9)
		}
		pass(4 * time.Second)
		stop()
		if _, ok := w.stored[postrider.PayloadKey(e)]; w.stores != 1 || !ok {
			t.Errorf("%d stores, under %v", w.stores, w.stored)
		}
		if n := len(w.queue.deliveries(postrider.LaneBulk)); n != 40 {
			t.Errorf("%d wait", n)
		}
	})
}

// TestOneGetForManyPacks: packs of one event that come one after the other cost one fetch, and none of the budget is held in
// the end.
func TestOneGetForManyPacks(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		w.answer(func(*http.Request) (*http.Response, error) { return reply(200), nil })
		w.subscribe("t", 1)
		stop := w.run()
		e := event("t", strings.Repeat("x", 5000))
		w.stored["key"] = e.Payload.Bytes
		for range 5 {
			copied := *e
			copied.Payload = postrider.Payload{Size: 5000, Key: "key"}
			w.send(&copied, 1)
			pass(2 * time.Second)
		}
		if w.gets != 1 {
			t.Errorf("%d fetches", w.gets)
		}
		pass(time.Minute)
		copied := *e
		copied.Payload = postrider.Payload{Size: 5000, Key: "key"}
		w.send(&copied, 1)
		pass(time.Second)
		stop()
		if w.gets != 2 || w.states()["delivered"] != 6 {
			t.Errorf("%d fetches, %v", w.gets, w.states())
		}
	})
}

// TestDamagedPayload: what the store has, though damaged, is read from the log; where that does not have it the delivery waits,
// since nobody knows that it is lost.
func TestDamagedPayload(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		w.answer(func(*http.Request) (*http.Response, error) { return reply(200), nil })
		w.subscribe("t", 1)
		w.fail["get"] = postrider.Errorf(postrider.CodeMalformed, "checksum")
		stop := w.run()
		logged, lost := event("t", "in the log"), event("t", "nowhere")
		w.log[logged.Position] = *logged
		for _, e := range []*postrider.Event{logged, lost} {
			copied := *e
			copied.Payload = postrider.Payload{Size: e.Payload.Size, Key: "key-" + e.ID}
			w.send(&copied, 1)
		}
		pass(time.Hour)
		if got := w.states(); got["delivered"] != 1 || len(got) != 1 {
			t.Errorf("states %v", got)
		}
		if w.gets > 200 {
			t.Errorf("%d fetches in an hour", w.gets)
		}
		w.with(func() { w.fail["get"] = nil; w.stored["key-"+lost.ID] = lost.Payload.Bytes })
		pass(2 * time.Minute)
		stop()
		if got := w.states(); got["delivered"] != 2 {
			t.Errorf("states %v", got)
		}
	})
}

// TestRefusedRetry: the queue refuses what follows a pack for good, because of one delivery. That one ends, the others are tried
// again, and each target got its message once.
func TestRefusedRetry(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		sent := map[string]int{}
		w.answer(func(r *http.Request) (*http.Response, error) {
			w.with(func() { sent[r.URL.Host]++ })
			return reply(500), nil
		})
		for id := int64(1); id <= 3; id++ {
			w.subscribe("t", id)
		}
		w.queue.refuse = func(d *postrider.Delivery) bool { return d.TargetID == 2 && d.Attempts > 0 }
		stop := w.run()
		w.send(event("t", "{}"), 1, 2, 3)
		pass(4 * time.Second)
		stop()
		if sent["target-1.test"] != 1 || sent["target-2.test"] != 1 || sent["target-3.test"] != 1 {
			t.Errorf("sent %v", sent)
		}
		if got := w.states(); got["exhausted/internal"] != 1 || len(w.queue.in(postrider.LaneFirst)) != 0 {
			t.Errorf("states %v, %d left in the first lane", got, len(w.queue.in(postrider.LaneFirst)))
		}
		if n := len(w.queue.deliveries(postrider.LaneBulk)); n != 2 {
			t.Errorf("%d wait", n)
		}
	})
}

// TestWhatStopsGaveBackIsNotSuspect: a delivery that came often, and is given back by a stop once more, is put anew, so that it
// is not taken for one that kills its dispatchers.
func TestWhatStopsGaveBackIsNotSuspect(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		w.options.MaxInFlight = 1
		w.answer(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		w.subscribe("t", 1)
		w.subscribe("t", 2)
		stop := w.run()
		w.send(event("t", "{}"), 1)
		w.send(event("t", "{}"), 2)
		w.queue.mu.Lock()
		w.queue.items[1].receives = 3
		w.queue.mu.Unlock()
		pass(time.Millisecond)
		stop()
		w.queue.mu.Lock()
		defer w.queue.mu.Unlock()
		for _, s := range w.queue.items {
			if s.item.Pack.Deliveries[0].TargetID == 2 && s.receives > 3 {
				t.Errorf("received %d times", s.receives)
			}
		}
	})
}

// TestRetriesShareItems: where items cost, what fails at about one time waits in few of them, whatever packs it came in.
func TestRetriesShareItems(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		w.queue.gather = 100 * time.Millisecond
		w.answer(func(*http.Request) (*http.Response, error) { return reply(500), nil })
		w.options.Random = nil // so that the retries are spread
		w.subscribe("t", 1, func(t *postrider.Target) { t.MaxInFlight = 500 })
		w.subscribe("t", 2, func(t *postrider.Target) { t.MaxInFlight = 500 })
		for range 30 {
			pack := &postrider.Pack{Tenant: "t"}
			for range 5 {
				e := event("t", "{}")
				e.Payload = postrider.Payload{Size: 1, Key: "key"}
				pack.Deliveries = append(pack.Deliveries, deliveryOf(e, 1), deliveryOf(e, 2))
			}
			w.put(pack)
		}
		w.stored["key"] = []byte("x")
		stop := w.run()
		pass(4 * time.Second)
		if n, of := len(w.queue.in(postrider.LaneRetry)), len(w.queue.deliveries(postrider.LaneRetry)); of != 300 || n > 15 {
			t.Errorf("%d deliveries wait in %d items", of, n)
		}
		if n := len(w.queue.in(postrider.LaneFirst)); n > 0 {
			t.Errorf("%d packs are not settled", n)
		}
		stop()
	})
}

// TestFullPacksPassTheManager: where the queue has a lead, a full pack of retries waits in the bulk lane, since a retry manager could
// merge it with nothing; one with room waits for a manager. None is sent before it is due.
func TestFullPacksPassTheManager(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		w.queue.gather, w.queue.lead = 100*time.Millisecond, time.Second
		var again []time.Time
		w.answer(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("Postrider-Attempt") == "1" {
				return reply(500), nil
			}
			w.with(func() { again = append(again, time.Now()) })
			return reply(200), nil
		})
		w.subscribe("t", 1, func(t *postrider.Target) { t.MaxInFlight = 500 })
		for range 2 {
			pack := &postrider.Pack{Tenant: "t"}
			for range postrider.MaxPackTargets/2 + 10 {
				e := event("t", "{}")
				e.Payload = postrider.Payload{Size: 1, Key: "key"}
				pack.Deliveries = append(pack.Deliveries, deliveryOf(e, 1))
			}
			w.put(pack)
		}
		w.stored["key"] = []byte("x")
		stop := w.run()
		pass(3 * time.Second)
		full, rest := w.queue.deliveries(postrider.LaneBulk), w.queue.deliveries(postrider.LaneRetry)
		if len(full) != postrider.MaxPackTargets || len(rest) != 20 {
			t.Fatalf("%d wait in the bulk lane, %d in the retry lane; want 100 and 20", len(full), len(rest))
		}
		pass(30 * time.Second)
		stop()
		if len(again) != 120 || again[0].Before(full[0].Due) {
			t.Errorf("%d were sent again, the first %v after it was due", len(again), again[0].Sub(full[0].Due))
		}
	})
}
