package consume_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider"
)

// Each step fails for an hour; afterwards all is as if it had not.
func TestFailuresAreTriedAgain(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"reader", "next", "put", "store"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			in(t, func(w *world) {
				t := w.t
				w.subscribe("acme", "a", on, 1)
				w.failing(step, errDown)
				stop := w.run()
				w.feed(batchOf("0", event(1, "acme", "a", 5000)), batchOf("0", event(2, "acme", "a", 1)))
				time.Sleep(time.Hour)
				w.expect()
				w.failing(step, nil)
				time.Sleep(10 * time.Second)
				w.expect(1, 2)
				if got := targets(w.items); len(got) != 2 {
					t.Errorf("queued for %v", got)
				}
				stop()
			})
		})
	}
}

func TestACommitThatFailsIsPutAgain(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		t := w.t
		w.subscribe("acme", "a", on, 1)
		w.failOnce = errDown
		stop := w.run()
		w.feed(batchOf("0", event(1, "acme", "a", 1)))
		w.feed(batchOf("0", event(2, "acme", "a", 1)))
		w.expect()
		time.Sleep(10 * time.Second)
		w.expect(1, 2)
		if len(w.items) != 3 || w.items[0].Pack.Deliveries[0].ID != w.items[2].Pack.Deliveries[0].ID {
			t.Errorf("put %v", targets(w.items))
		}
		stop()
	})
}

// What the queue does not have yet is recorded nowhere: were it lost with a crash, nobody would go on with it.
func TestNothingIsRecordedBeforeItIsQueued(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		t := w.t
		w.subscribe("acme", "a", on, 1)
		w.hold = true
		stop := w.run()
		w.feed(batchOf("0", event(1, "acme", "a", 1)))
		time.Sleep(time.Minute)
		w.with(func() {
			if len(w.items) != 1 || len(w.outcomes)+len(w.diverted) != 0 {
				t.Errorf("%d items put, %d outcomes recorded", len(w.items), len(w.outcomes)+len(w.diverted))
			}
			w.hold = false
			w.held[0](nil)
		})
		synctest.Wait()
		w.expect(1)
		if len(w.outcomes) != 1 {
			t.Errorf("%d outcomes recorded", len(w.outcomes))
		}
		stop()
	})
}

func TestOnePartitionThatStandsStillHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		w.subscribe("acme", "a", on, 1)
		w.failing("store", errDown)
		stop := w.run()
		w.feed(batchOf("0", event(1, "acme", "a", 5000)), batchOf("0", event(2, "acme", "a", 1)), batchOf("1", event(3, "acme", "a", 1)))
		w.expect(3)
		w.failing("store", nil)
		time.Sleep(10 * time.Second)
		w.expect(3, 1, 2)
		stop()
	})
}

// An outcome log that does not take outcomes, or does not store what it took, does not hold anything up.
func TestOutcomesGoToTheQueue(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"record", "recorded"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			in(t, func(w *world) {
				t := w.t
				w.subscribe("acme", "a", on, 1)
				w.failing(step, errDown)
				stop := w.run()
				w.feed(batchOf("0", event(1, "acme", "a", 1)), batchOf("0", event(2, "acme", "b", 1)))
				time.Sleep(time.Second)
				w.expect(1, 2)
				if len(w.diverted) != 2 || len(w.outcomes) != 0 {
					t.Errorf("%d outcomes in the queue, %d in the log", len(w.diverted), len(w.outcomes))
				}
				w.failing(step, nil)
				time.Sleep(10 * time.Second)
				w.feed(batchOf("0", event(3, "acme", "a", 1)))
				w.feed(batchOf("0", event(4, "acme", "a", 1)))
				w.expect(1, 2, 3, 4)
				if len(w.diverted) != 3 || len(w.outcomes) != 2 { // the third tries the log, and does not wait for it
					t.Errorf("%d outcomes in the queue, %d in the log afterwards", len(w.diverted), len(w.outcomes))
				}
				stop()
			})
		})
	}
}

// An outcome log that hangs, and tells only after long that it has not stored what it took, holds up what is in hand, once. A
// partition is handed nothing more while a position is not committed, so that it must not be held up again and again.
func TestAnOutcomeLogThatHangsHoldsUpOnce(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		t := w.t
		w.subscribe("acme", "a", on, 1)
		w.failing("hang", errDown)
		stop := w.run()
		const n = 120
		slow := 0
		for i := range n {
			w.feed(batchOf("0", event(i, "acme", "a", 1)))
			time.Sleep(time.Second)
			synctest.Wait()
			if got := len(w.committed()); got < i+1 {
				slow = i + 1
			}
		}
		if slow > 5 {
			t.Errorf("the event of second %d still waits for the log", slow)
		}
		w.failing("hang", nil)
		time.Sleep(time.Minute) // longer than the log hangs for what it took before
		w.feed(batchOf("0", event(n, "acme", "a", 1)), batchOf("0", event(n+1, "acme", "a", 1)))
		if len(w.committed()) != n+2 || len(w.diverted) < n || w.outcomes[len(w.outcomes)-1].Event.ID != fmt.Sprint("evt_", n+1) {
			t.Errorf("%d of %d committed, %d outcomes in the queue, %d in the log", len(w.committed()), n+2, len(w.diverted), len(w.outcomes))
		}
		stop()
	})
}

func TestNothingTakesOutcomes(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		w.failing("record", errDown)
		w.failing("put", errDown)
		stop := w.run()
		w.feed(batchOf("0", event(1, "acme", "a", 1)))
		time.Sleep(time.Hour)
		w.expect()
		w.failing("put", nil)
		time.Sleep(10 * time.Second)
		w.expect(1)
		stop()
	})
}

// The queue refuses what it said would fit: packs are split, a single's payload is stored, and what then is refused still
// ends, recorded. Its neighbours go through.
func TestWhatTheQueueRefuses(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		t := w.t
		w.subscribe("acme", "a", on, series(1, 20)...)
		w.subscribe("acme", "b", on, 21)
		w.limit = 400
		stop := w.run()
		impossible := event(2, "acme", "b", 0)
		impossible.Trace = string(make([]byte, 500))
		w.feed(batchOf("0", event(1, "acme", "a", 900), impossible, event(3, "acme", "b", 10)))
		w.expect(3)
		if got := targets(w.items); len(got) != 21 {
			t.Errorf("queued for %v", got)
		}
		for _, item := range w.items[:20] {
			if item.Pack.Deliveries[0].Event.Payload.Key == "" {
				t.Error("a payload that does not fit was not stored")
			}
		}
		last := w.outcomes[len(w.outcomes)-1]
		if last.Kind != postrider.OutcomeState || last.State != postrider.StateExhausted || last.Reason != postrider.ReasonInternal ||
			last.DeliveryID != postrider.NewDeliveryID(impossible, 21) {
			t.Errorf("recorded %+v", last)
		}
		if len(w.outcomes) != 4 {
			t.Errorf("%d outcomes", len(w.outcomes))
		}
		stop()
	})
}

// What was taken, not stored, and is refused when it is put again, ends too.
func TestWhatIsRefusedTheSecondTime(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		t := w.t
		w.subscribe("acme", "a", on, 1)
		w.hold = true
		stop := w.run()
		w.feed(batchOf("0", event(1, "acme", "a", 10)))
		w.with(func() { w.limit = 0 })
		w.complete(errDown)
		time.Sleep(10 * time.Second)
		w.expect(1)
		if n := len(w.outcomes); n != 2 || w.outcomes[1].State != postrider.StateExhausted {
			t.Errorf("recorded %+v", w.outcomes)
		}
		stop()
	})
}

// The server refuses an item after the queue took it: it is split, its payload is stored once, and at last it ends, while what
// was put with it goes through, and is not put twice more.
func TestWhatIsRefusedLate(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		t := w.t
		w.subscribe("acme", "a", on, series(1, 20)...)
		w.subscribe("acme", "b", on, 21)
		w.subscribe("other", "a", on, 22)
		poison := event(1, "acme", "a", 900)
		never := event(2, "acme", "b", 0)
		w.late = func(item *postrider.Item) error {
			for i := range item.Pack.Deliveries {
				e := item.Pack.Deliveries[i].Event
				if e.ID == never.ID || e.ID == poison.ID && (len(item.Pack.Deliveries) > 1 || e.Payload.Inline()) {
					return postrider.Errorf(postrider.CodeTooLarge, "refused")
				}
			}
			return nil
		}
		stop := w.run()
		w.feed(batchOf("0", poison, never, event(3, "other", "a", 10)))
		time.Sleep(10 * time.Minute)
		w.expect(3)
		times := map[int64]int{}
		for _, id := range targets(w.items) {
			times[id]++
		}
		for id := int64(1); id <= 22; id++ {
			if id != 21 && (times[id] < 1 || times[id] > 2) {
				t.Errorf("target %d was queued %d times", id, times[id])
			}
		}
		if times[21] != 0 || w.stores != 2 { // one an event
			t.Errorf("target 21 was queued %d times; %d stores", times[21], w.stores)
		}
		last := w.outcomes[len(w.outcomes)-1]
		if last.State != postrider.StateExhausted || last.Reason != postrider.ReasonInternal || last.DeliveryID != postrider.NewDeliveryID(never, 21) {
			t.Errorf("recorded %+v", last)
		}
		stop()
	})
}

func TestAPayloadThatTheStoreRefuses(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		t := w.t
		w.subscribe("acme", "a", on, 1, 2)
		w.failing("store", postrider.Errorf(postrider.CodeTooLarge, "too large"))
		stop := w.run()
		w.feed(batchOf("0", event(1, "acme", "a", 5000), event(2, "acme", "a", 1)))
		w.expect(2)
		if got := targets(w.items); !slices.Equal(got, []int64{1, 2}) {
			t.Errorf("queued for %v", got)
		}
		ended := 0
		for _, o := range w.outcomes {
			if o.State == postrider.StateExhausted {
				ended++
			}
		}
		if ended != 2 {
			t.Errorf("%d deliveries ended", ended)
		}
		stop()
	})
}

// A stop while a payload cannot be stored puts nothing that refers to it.
func TestNothingRefersToWhatIsNotStored(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		t := w.t
		w.subscribe("acme", "a", on, 1)
		w.failing("store", errDown)
		stop := w.run()
		w.feed(batchOf("0", event(1, "acme", "a", 5000)))
		stop()
		synctest.Wait()
		w.expect()
		if len(w.items)+len(w.outcomes) != 0 {
			t.Errorf("put %v, recorded %v", w.items, w.outcomes)
		}
	})
}
