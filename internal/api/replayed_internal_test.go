package api

import (
	"testing"
	"time"

	"github.com/postrider/postrider"
)

func TestReplaysAreRememberedForATime(t *testing.T) {
	t.Parallel()
	var r replays
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	id := func(n int) postrider.DeliveryID { return postrider.DeliveryID{byte(n), byte(n >> 8), byte(n >> 16)} }
	if !r.begin(id(1), 0, now) || r.begin(id(1), 0, now) {
		t.Error("a generation is replayed once")
	}
	if !r.begin(id(1), 1, now) || r.begin(id(1), 0, now) || r.begin(id(1), 1, now) {
		t.Error("the next generation is replayed once, and none before it")
	}
	r.forget(id(1), 1)
	if !r.begin(id(1), 1, now) {
		t.Error("a replay that failed counts")
	}
	now = now.Add(replayMemory)
	if !r.begin(id(1), 1, now) {
		t.Error("it is remembered for ever")
	}
	for n := range 2 * maxReplays {
		r.begin(id(n), 5, now)
	}
	if len(r.made) > maxReplays || len(r.order) > maxReplays {
		t.Errorf("%d are held, %d in order", len(r.made), len(r.order))
	}
	if r.begin(id(2*maxReplays-1), 5, now) {
		t.Error("the newest was forgotten")
	}
}
