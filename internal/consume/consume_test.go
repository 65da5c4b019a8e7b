package consume_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/postrider/postrider"
)

const on, off = postrider.TargetOn, postrider.TargetOff

// in runs a test in a bubble of its own time.
func in(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(newWorld(t)) })
}

func (w *world) expect(want ...int) {
	w.t.Helper()
	var positions []postrider.Position
	for _, n := range want {
		positions = append(positions, position(n))
	}
	if got := w.committed(); !slices.Equal(got, positions) {
		w.t.Errorf("committed %v, want %v", got, positions)
	}
}

func targets(items []postrider.Item) (ids []int64) {
	for _, item := range items {
		for _, d := range item.Pack.Deliveries {
			ids = append(ids, d.TargetID)
		}
	}
	return ids
}

func TestEventsAreMatchedQueuedAndRecorded(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		t := w.t
		w.subscribe("acme", "a.*", on, 1, 2)
		w.subscribe("acme", "a.b", off, 3)
		stop := w.run()
		first, second := event(1, "acme", "a.b", 10), event(2, "acme", "nothing", 10)
		w.feed(batchOf("0", first, second))
		w.expect(2)
		if got := targets(w.items); !slices.Equal(got, []int64{1, 2}) {
			t.Fatalf("queued for %v", got)
		}
		d := w.items[0].Pack.Deliveries[0]
		if d.ID != postrider.NewDeliveryID(first, 1) || d.Version != 7 || !d.Start.Equal(first.AcceptedAt) || w.items[0].Lane != postrider.LaneFirst {
			t.Errorf("queued %+v", d)
		}
		if len(w.outcomes) != 2 || !slices.Equal(w.outcomes[0].Targets, []int64{1, 2}) || !slices.Equal(w.outcomes[0].Off, []int64{3}) ||
			w.outcomes[0].Event.Size != 10 || len(w.outcomes[1].Targets)+len(w.outcomes[1].Off) != 0 {
			t.Errorf("recorded %+v", w.outcomes)
		}
		stop()
		if !w.closed {
			t.Error("the reader is not closed")
		}
		const want = `# HELP postrider_events_matched_total Events read and matched, by whether a target was found.
# TYPE postrider_events_matched_total counter
postrider_events_matched_total{result="matched"} 1
postrider_events_matched_total{result="unmatched"} 1
# HELP postrider_deliveries_queued_total Deliveries put into the queue for their first attempt.
# TYPE postrider_deliveries_queued_total counter
postrider_deliveries_queued_total 2
`
		if err := testutil.GatherAndCompare(w.registry, strings.NewReader(want), "postrider_events_matched_total", "postrider_deliveries_queued_total"); err != nil {
			t.Error(err)
		}
	})
}

func TestNothingIsReadBeforeTheCacheIsLoaded(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		t := w.t
		w.loadable = make(chan struct{})
		w.subscribe("acme", "a", on, 1)
		stop := w.run()
		w.feed(batchOf("0", event(1, "acme", "a", 1)))
		time.Sleep(time.Hour)
		if len(w.batches) != 1 {
			t.Fatal("it has read")
		}
		close(w.loadable)
		synctest.Wait()
		w.expect(1)
		stop()
	})
}

func TestStopBeforeTheCacheIsLoaded(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		w.loadable = make(chan struct{})
		w.run()()
	})
}

func TestPositionsWaitForDurability(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		t := w.t
		w.subscribe("acme", "a", on, 1)
		w.hold = true
		stop := w.run()
		for n := range 3 {
			w.feed(batchOf("0", event(n, "acme", "a", 1)))
		}
		w.expect()
		if len(w.held) != 3 {
			t.Fatalf("%d batches were written ahead", len(w.held))
		}
		w.held[2](nil)
		w.held[1](nil)
		synctest.Wait()
		w.expect()
		w.held[0](nil)
		synctest.Wait()
		w.expect(0, 1, 2)
		stop()
	})
}

func TestThePipelineIsBounded(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		t := w.t
		w.subscribe("acme", "a", on, 1)
		w.hold = true
		w.options.MaxBytes = 1000
		stop := w.run()
		for n := range 10 {
			w.feed(batchOf("0", event(n, "acme", "a", 400)))
		}
		if left := len(w.batches); left != 7 {
			t.Errorf("%d of 10 batches were left in the log", left)
		}
		for range 10 {
			w.complete(nil)
		}
		w.expect(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
		stop()
	})
}

func TestAStopFinishesWhatWasTaken(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		w.subscribe("acme", "a", on, 1)
		w.hold = true
		stop := w.run()
		w.feed(batchOf("0", event(1, "acme", "a", 1)))
		time.AfterFunc(30*time.Second, func() { w.with(func() { w.hold = false; w.held[0](nil) }) })
		stop()
		w.expect(1)
	})
}

func TestAStopGivesUpAfterTheDrain(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		t := w.t
		w.subscribe("acme", "a", on, 1)
		w.hold = true
		stop := w.run()
		w.feed(batchOf("0", event(1, "acme", "a", 1)), batchOf("1", event(2, "acme", "a", 1)))
		began := time.Now()
		stop()
		if took := time.Since(began); took != time.Minute {
			t.Errorf("it took %v", took)
		}
		w.expect()
		if !w.closed {
			t.Error("the reader is open")
		}
	})
}

func TestALostPartitionIsDropped(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		w.subscribe("acme", "a", on, 1)
		w.hold = true
		stop := w.run()
		lost := make(chan struct{})
		gone := batchOf("0", event(1, "acme", "a", 1))
		gone.Lost = lost
		w.feed(gone, batchOf("1", event(2, "acme", "a", 1)))
		close(lost)
		synctest.Wait()
		w.complete(nil)
		w.feed(batchOf("0", event(3, "acme", "a", 1)))
		w.complete(nil)
		w.expect(2, 3)
		stop()
	})
}

func TestAGapIsCounted(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		t := w.t
		stop := w.run()
		known, unknown := batchOf("0", event(1, "acme", "a", 1)), batchOf("0", event(2, "acme", "a", 1))
		known.Gap, unknown.Gap = &postrider.Gap{From: "x", To: "y", Count: 5}, &postrider.Gap{Count: -1}
		w.feed(known, unknown)
		w.expect(1, 2)
		const want = `# HELP postrider_log_gap_events_total Events that were gone from the log before they were read, as far as they could be counted.
# TYPE postrider_log_gap_events_total counter
postrider_log_gap_events_total 5
# HELP postrider_log_gaps_total Holes met in the events log.
# TYPE postrider_log_gaps_total counter
postrider_log_gaps_total 2
`
		if err := testutil.GatherAndCompare(w.registry, strings.NewReader(want), "postrider_log_gap_events_total", "postrider_log_gaps_total"); err != nil {
			t.Error(err)
		}
		stop()
	})
}

func TestALogThatIsClosedEndsTheRun(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		t := w.t
		w.failing("next", postrider.Errorf(postrider.CodeGone, "closed"))
		if err := w.start()(); postrider.CodeOf(err) != postrider.CodeGone {
			t.Errorf("ended with %v", err)
		}
	})
}
