package sqlite

import (
	"testing"
	"time"

	"github.com/postrider/postrider"
)

func TestReplaysThatAreRememberedAreBounded(t *testing.T) {
	t.Parallel()
	var r replays
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	id := func(n int) postrider.DeliveryID { return postrider.DeliveryID{byte(n), byte(n >> 8), byte(n >> 16)} }
	for n := range 2 * maxReplays {
		r.begin(id(n), replayed{5, now.Add(time.Minute)}, now)
	}
	if len(r.made) > maxReplays || len(r.order) > maxReplays {
		t.Errorf("%d are held, %d in order", len(r.made), len(r.order))
	}
	newest := id(2*maxReplays - 1)
	if r.begin(newest, replayed{5, now.Add(time.Minute)}, now) {
		t.Error("the newest was forgotten")
	}
	now = now.Add(time.Minute)
	if !r.begin(newest, replayed{5, now.Add(time.Minute)}, now) || len(r.made) != 1 || len(r.order) != 1 {
		t.Errorf("%d are held after their time, %d in order", len(r.made), len(r.order))
	}
}
