package consume_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Events of a tenant whose fan-out is large do not hold up another's that were read after them; nor does their batch hold up the other's,
// unless batches are to be committed in order.
func TestTenantsTakeTurns(t *testing.T) {
	t.Parallel()
	for _, unordered := range []bool{false, true} {
		t.Run(fmt.Sprint("unordered=", unordered), func(t *testing.T) {
			t.Parallel()
			in(t, func(w *world) {
				w.subscribe("flood", "a", on, series(1, 500)...)
				w.subscribe("quiet", "a", on, 1000)
				w.hold = true
				stop := w.run()
				flood := batchOf("0")
				for n := range 200 {
					flood.Events = append(flood.Events, event(n+1, "flood", "a", 1))
				}
				flood.End, flood.Unordered = position(200), unordered
				quiet := batchOf("0", event(201, "quiet", "a", 1))
				quiet.Unordered = unordered
				w.feed(flood, quiet)
				w.letGo(12)
				if unordered {
					w.expect(201)
				} else {
					w.expect()
				}
				w.quietIsEarly(10_000)
				w.with(func() { w.hold = false })
				w.letGo(1 << 20)
				if unordered {
					w.expect(201, 200)
				} else {
					w.expect(200, 201)
				}
				stop()
			})
		})
	}
}

// quietIsEarly checks that few deliveries are queued before those of the tenant quiet.
func (w *world) quietIsEarly(most int) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	before := 0
	for _, item := range w.items {
		if item.Pack.Tenant == "quiet" {
			return
		}
		if before += len(item.Pack.Deliveries); before > most {
			w.t.Fatalf("%d deliveries were queued before another tenant's", before)
		}
	}
	w.t.Fatal("another tenant's delivery is not queued")
}

// letGo completes so many Commits of the queue, and those that come of that.
func (w *world) letGo(n int) {
	for range n {
		var one func(error)
		w.with(func() {
			if len(w.held) > 0 {
				one, w.held = w.held[0], w.held[1:]
			}
		})
		if one == nil {
			return
		}
		one(nil)
		synctest.Wait()
	}
}

// What is matched does not wait for a payload store that another tenant's event needs.
func TestNobodyWaitsForAnothersStore(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		w.subscribe("quiet", "a", on, 1000)
		w.subscribe("big", "a", on, 1)
		stop := w.run()
		w.failing("store", errDown)
		w.feed(batchOf("0", event(1, "quiet", "a", 1)), batchOf("0", event(2, "big", "a", 5000)))
		w.quietIsEarly(0)
		w.failing("store", nil)
		time.Sleep(time.Minute)
		w.expect(1, 2)
		stop()
	})
}
