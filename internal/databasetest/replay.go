package databasetest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// begun reports whether a replay that counts for a time, or no longer, may begin.
func begun(t *testing.T, d postrider.Database, id postrider.DeliveryID, generation int, counts time.Duration) bool {
	t.Helper()
	free, err := d.BeginReplay(patient(t), id, generation, time.Now().Add(counts))
	must(t, err)
	return free
}

// Of many who would replay a generation one may, and the next generation again one.
func testReplays(t *testing.T, h Harness) {
	d := h.Database
	id, other := postrider.NewDeliveryID(event("acme", 1), 5), postrider.NewDeliveryID(event("acme", 1), 6)
	for generation := range 3 {
		var work sync.WaitGroup
		var free atomic.Int64
		for range 8 {
			work.Go(func() {
				if begun(t, d, id, generation, time.Hour) {
					free.Add(1)
				}
			})
		}
		if work.Wait(); free.Load() != 1 {
			t.Errorf("%d may replay generation %d", free.Load(), generation)
		}
	}
	if begun(t, d, id, 1, time.Hour) {
		t.Error("a generation before the one that is replayed may be")
	}
	if !begun(t, d, other, 0, time.Hour) {
		t.Error("another delivery may not be replayed")
	}
}

// A replay that failed may be made again, as may one whose time is over; what is forgotten of an earlier generation is not that.
func testReplayAgain(t *testing.T, h Harness) {
	d, ctx := h.Database, patient(t)
	id, other := postrider.NewDeliveryID(event("acme", 1), 5), postrider.NewDeliveryID(event("acme", 1), 6)
	if !begun(t, d, id, 1, time.Hour) {
		t.Fatal("the first may not be made")
	}
	must(t, d.ForgetReplay(ctx, id, 0))
	must(t, d.ForgetReplay(ctx, other, 1))
	if begun(t, d, id, 1, time.Hour) {
		t.Error("it was forgotten with another")
	}
	must(t, d.ForgetReplay(ctx, id, 1))
	if !begun(t, d, id, 1, time.Hour) || begun(t, d, id, 1, time.Hour) {
		t.Error("what was forgotten may be made once")
	}
	if !begun(t, d, other, 0, -time.Second) || !begun(t, d, other, 0, time.Hour) || begun(t, d, other, 0, time.Hour) {
		t.Error("one whose time is over may be made once more")
	}
}
