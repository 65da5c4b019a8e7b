package dispatch_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider"
)

// hang answers for a target only when its request's time is over, for the others at once.
func (w *world) hang(hosts ...string) {
	w.answer(func(r *http.Request) (*http.Response, error) {
		for _, host := range hosts {
			if r.URL.Host == host {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
		}
		return reply(200), nil
	})
}

func (w *world) delivered(target int64) (n int) {
	for _, o := range w.outcomes() {
		if o.TargetID == target && o.State == postrider.StateDelivered {
			n++
		}
	}
	return n
}

// TestHangingTargetHoldsUpNobody floods a target that never answers, and then sends to another of the same tenant: no time
// passes until that has its messages, though the flood is older and waits.
func TestHangingTargetHoldsUpNobody(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		w.hang("target-1.test")
		w.subscribe("t", 1)
		w.subscribe("t", 2)
		stop := w.run()
		defer stop()
		for range 400 {
			w.send(event("t", "{}"), 1)
		}
		pass(time.Second)
		if n := w.metric("postrider_in_flight"); n != 32 {
			t.Fatalf("%v in flight, want the target's 32", n)
		}
		for range 100 {
			w.send(event("t", "{}"), 2)
		}
		synctest.Wait()
		pass(300 * time.Millisecond) // a few may wait in hand for a place of their own target
		if n := w.delivered(2); n != 100 {
			t.Errorf("%d of 100 are delivered", n)
		}
	})
}

// TestTenantReserve has one tenant take all that it may; another finds its share.
func TestTenantReserve(t *testing.T) {
	t.Parallel()
	for _, heedless := range []bool{false, true} {
		t.Run(fmt.Sprint("heedless ", heedless), func(t *testing.T) {
			t.Parallel()
			simulated(t, func(w *world) {
				t := w.t
				w.queue.heedless = heedless
				w.options.MaxInFlight = 40
				w.answer(func(r *http.Request) (*http.Response, error) {
					if r.URL.Host != "target-100.test" {
						<-r.Context().Done()
						return nil, r.Context().Err()
					}
					return reply(200), nil
				})
				for id := int64(1); id <= 20; id++ {
					w.subscribe("flood", id)
				}
				w.subscribe("other", 100)
				stop := w.run()
				defer stop()
				for n := range 200 {
					w.send(event("flood", "{}"), int64(n%20+1))
				}
				pass(2 * time.Second)
				if n := w.metric("postrider_in_flight"); n != 30 {
					t.Fatalf("%v in flight, want all but a quarter of 40", n)
				}
				deferred := w.metric("postrider_deferred_total")
				for range 30 {
					w.send(event("other", "{}"), 100)
				}
				wait := 300 * time.Millisecond
				if heedless {
					wait = 3 * time.Second // the flood that lies before is met by probes
				}
				pass(wait)
				if n := w.delivered(100); n != 30 {
					t.Errorf("%d of 30 are delivered", n)
				}
				if !heedless && deferred > 40 {
					t.Errorf("%v deliveries of the flood were taken and put off, though the queue was told not to give them", deferred)
				}
			})
		})
	}
}

// TestDeferralsSpread puts off a backlog of a slow target: each promised slot is another's, so that nothing circles.
func TestDeferralsSpread(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		w.answer(func(*http.Request) (*http.Response, error) {
			time.Sleep(2 * time.Second)
			return reply(200), nil
		})
		w.subscribe("t", 1, func(x *postrider.Target) { x.MaxInFlight = 2 })
		stop := w.run()
		defer stop()
		for range 200 {
			w.send(event("t", "{}"), 1)
		}
		pass(5 * time.Second)
		waiting := w.queue.deliveries(postrider.LaneRetry)
		if len(waiting) < 150 {
			t.Fatalf("%d wait", len(waiting))
		}
		if last, n := w.lastHolds(); n < 2 || len(last) != 1 || last[0].TargetID != 1 || last[0].Reason != postrider.HoldLimited {
			t.Errorf("holds %v, published %d times", last, n)
		}
		pass(10 * time.Minute)
		if n := w.delivered(1); n != 200 {
			t.Errorf("%d of 200 are delivered", n)
		}
		if n := w.metric("postrider_deferred_total"); n > 1000 {
			t.Errorf("200 deliveries were put off %v times", n)
		}
		if last, _ := w.lastHolds(); len(last) != 0 {
			t.Errorf("the hold does not end: %v", last)
		}
	})
}

// TestLanesShareTheSlots has more of both lanes than there are slots.
func TestLanesShareTheSlots(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		w.options.MaxInFlight = 40
		sent := map[string]int{}
		w.answer(func(r *http.Request) (*http.Response, error) {
			w.with(func() { sent[r.Header.Get("Postrider-Attempt")]++ })
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		for id := int64(1); id <= 100; id++ {
			w.subscribe(fmt.Sprint("t", id), id)
		}
		for id := int64(1); id <= 100; id++ {
			e := event(fmt.Sprint("t", id), "{}")
			w.send(e, id)
			d := deliveryOf(e, id)
			d.Attempts = 1
			if _, err := w.queue.Put(t.Context(), postrider.Item{Lane: postrider.LaneBulk, Pack: &postrider.Pack{Tenant: e.Tenant, Deliveries: []postrider.Delivery{d}}}); err != nil {
				t.Fatal(err)
			}
		}
		stop := w.run()
		defer stop()
		pass(2 * time.Second)
		w.with(func() {
			if sent["1"] != 30 || sent["2"] != 10 {
				t.Errorf("%d first attempts and %d retries in flight, want 30 and 10", sent["1"], sent["2"])
			}
		})
	})
}

// TestLaneAloneHasAll leaves one lane empty.
func TestLaneAloneHasAll(t *testing.T) {
	t.Parallel()
	for _, lane := range []postrider.Lane{postrider.LaneFirst, postrider.LaneBulk} {
		t.Run(lane.String(), func(t *testing.T) {
			t.Parallel()
			simulated(t, func(w *world) {
				t := w.t
				w.options.MaxInFlight = 40
				w.answer(func(r *http.Request) (*http.Response, error) {
					<-r.Context().Done()
					return nil, r.Context().Err()
				})
				stop := w.run()
				defer stop()
				synctest.Wait()
				for id := int64(1); id <= 100; id++ {
					tenant := fmt.Sprint("t", id)
					w.subscribe(tenant, id)
					time.Sleep(time.Millisecond)
					e := event(tenant, "{}")
					item := postrider.Item{Lane: lane, Pack: &postrider.Pack{Tenant: tenant, Deliveries: []postrider.Delivery{deliveryOf(e, id)}}}
					if _, err := w.queue.Put(t.Context(), item); err != nil {
						t.Fatal(err)
					}
				}
				pass(2 * time.Second)
				if n := w.metric("postrider_in_flight"); n != 40 {
					t.Errorf("%v in flight, want all 40", n)
				}
			})
		})
	}
}
