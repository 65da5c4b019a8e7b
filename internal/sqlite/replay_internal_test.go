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
		r.begin(replayed{id(n), 5, now.Add(time.Minute)}, now)
	}
	if len(r.made) > maxReplays || len(r.order) > maxReplays {
		t.Errorf("%d are held, %d in order", len(r.made), len(r.order))
	}
	newest := id(2*maxReplays - 1)
	if r.begin(replayed{newest, 5, now.Add(time.Minute)}, now) {
		t.Error("the newest was forgotten")
	}
	now = now.Add(time.Minute)
	if !r.begin(replayed{newest, 5, now.Add(time.Minute)}, now) || len(r.made) != 1 || len(r.order) != 1 {
		t.Errorf("%d are held after their time, %d in order", len(r.made), len(r.order))
	}
}

// TestReplayAfterReplay: that an earlier replay of a delivery is forgotten says nothing of the one that came after it.
func TestReplayAfterReplay(t *testing.T) {
	t.Parallel()
	var r replays
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	id, other := postrider.DeliveryID{1}, postrider.DeliveryID{2}
	r.begin(replayed{id, 1, now.Add(time.Second)}, now)
	r.begin(replayed{id, 2, now.Add(time.Hour)}, now)
	now = now.Add(time.Minute)
	r.begin(replayed{other, 1, now.Add(time.Hour)}, now)
	if r.begin(replayed{id, 2, now.Add(time.Hour)}, now) {
		t.Error("the second replay was forgotten with the first")
	}
}
