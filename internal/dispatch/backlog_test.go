package dispatch_test

import (
	"net/http"
	"testing"
	"time"
)

// TestBacklogOfAFastTargetIsNotPutOff has more waiting for one target than fits in hand: the rest stays in its lane, where it
// costs nothing, until there is room, since the target is quick. Nothing is known of its pace at the beginning.
func TestBacklogOfAFastTargetIsNotPutOff(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		const events, latency, limit = 3000, 5 * time.Millisecond, 32
		w.answer(func(*http.Request) (*http.Response, error) {
			time.Sleep(latency)
			return reply(200), nil
		})
		w.subscribe("t", 1)
		for range events {
			w.send(event("t", "{}"), 1)
		}
		stop := w.run()
		time.Sleep(2 * events * latency / limit)
		stop()
		if got := w.states()["delivered"]; got != events {
			t.Errorf("%d of %d delivered in twice the time that the target takes", got, events)
		}
		if n := w.metric("postrider_deferred_total"); n != 0 {
			t.Errorf("%v were put off", n)
		}
	})
}
