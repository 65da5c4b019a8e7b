package dispatch_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider"
)

// TestDayOfRetries runs a delivery to a dead target through its whole window, with the retry manager.
func TestDayOfRetries(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		var at []time.Duration
		var numbers []string
		begin := time.Now()
		w.answer(func(r *http.Request) (*http.Response, error) {
			at = append(at, time.Since(begin))
			numbers = append(numbers, r.Header.Get("Postrider-Attempt"))
			return nil, errors.New("boom")
		})
		w.subscribe("t", 1)
		stop := w.run()
		w.send(event("t", strings.Repeat("x", 5000)), 1)
		synctest.Wait()
		pass(25 * time.Hour)
		stop()
		states := w.states()
		if states["exhausted/window"] != 1 || states["retrying"] != len(at)-1 {
			t.Fatalf("states %v, %d attempts", states, len(at))
		}
		// 10 s doubled up to 4 h, three quarters of each with Random 0.5; the last at 24 h less the timeout.
		if len(at) < 12 || len(at) > 30 || at[0] != 0 || at[1] < 5*time.Second || at[1] > 12*time.Second {
			t.Errorf("attempts at %v", at)
		}
		if last, want := at[len(at)-1], 24*time.Hour-15*time.Second; last < want-time.Second || last > want+2*time.Second {
			t.Errorf("the last attempt was at %v, want %v", last, want)
		}
		if numbers[0] != "1" || numbers[len(numbers)-1] == "1" {
			t.Errorf("numbers %v", numbers)
		}
		if w.stores != 1 && len(w.stored) != 1 {
			t.Errorf("the waiting payload was stored %d times under %d keys", w.stores, len(w.stored))
		}
		if left := len(w.queue.items); left != 0 {
			t.Errorf("%d items are left", left)
		}
	})
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		response *http.Response
		want     string
		off      string
	}{
		"ok":             {reply(204), "delivered", ""},
		"ok and disable": {reply(200, "webhook-delivery", "disable"), "delivered", "disabled_by_receiver"},
		"ok and abort":   {reply(200, "webhook-delivery", "abort-message"), "delivered", ""},
		"gone":           {reply(410), "cancelled/target_off", "gone"},
		"disable":        {reply(500, "webhook-delivery", "Disable"), "cancelled/target_off", "disabled_by_receiver"},
		"abort":          {reply(500, "webhook-delivery", "abort-message"), "cancelled/aborted", ""},
		"status":         {reply(500), "retrying", ""},
		"redirect":       {reply(302, "Location", "http://elsewhere.test/"), "retrying", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			simulated(t, func(w *world) {
				t := w.t
				w.answer(func(*http.Request) (*http.Response, error) { return c.response, nil })
				w.subscribe("t", 1)
				stop := w.run()
				w.send(event("t", "{}"), 1)
				synctest.Wait()
				stop()
				if got := w.states(); got[c.want] != 1 || len(got) != 1 {
					t.Errorf("states %v, want one %s", got, c.want)
				}
				if w.off[1] != c.off || len(w.notices) != len(w.off) || w.announced != len(w.off) {
					t.Errorf("turned off %v, %d notices, announced %d times", w.off, len(w.notices), w.announced)
				}
			})
		})
	}
}

// TestOneNotice has 32 attempts answered 410 at once.
func TestOneNotice(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		w.answer(func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return reply(410), nil
		})
		w.subscribe("t", 1)
		stop := w.run()
		for range 32 {
			w.send(event("t", "{}"), 1)
		}
		pass(2 * time.Second)
		stop()
		if got := w.states(); got["cancelled/target_off"] != 32 {
			t.Errorf("states %v", got)
		}
		if len(w.notices) != 1 || w.announced != 1 {
			t.Errorf("%d notices, announced %d times", len(w.notices), w.announced)
		}
		if n := w.notices[0]; n.Type != "postrider.target.disabled" || !strings.Contains(string(n.Payload.Bytes), `"targetId":1,"reason":"gone","at":"`) {
			t.Errorf("the notice is %s %s", n.Type, n.Payload.Bytes)
		}
	})
}

// TestOwnEventCausesNone delivers an event of our own to a target that is gone.
func TestOwnEventCausesNone(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		w.answer(func(*http.Request) (*http.Response, error) { return reply(410), nil })
		w.subscribe("t", 1)
		w.change(postrider.Change{Kind: postrider.KindFilter, ID: 1, Tenant: "t", Filter: &postrider.Filter{ID: 1, Tenant: "t", Events: []string{"postrider.*"}}})
		stop := w.run()
		e := event("t", "{}")
		e.Type = "postrider.target.disabled"
		w.send(e, 1)
		synctest.Wait()
		stop()
		if w.off[1] != "gone" || len(w.notices) != 0 {
			t.Errorf("turned off %v, %d notices", w.off, len(w.notices))
		}
	})
}

// TestTurnOffFails keeps the delivery while the database is away: the receiver asks again.
func TestTurnOffFails(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		w.answer(func(*http.Request) (*http.Response, error) { return reply(410), nil })
		w.subscribe("t", 1)
		w.fail["off"] = errDown
		stop := w.run()
		w.send(event("t", "{}"), 1)
		pass(2 * time.Second)
		if got := w.states(); got["retrying"] != 1 {
			t.Errorf("states %v", got)
		}
		w.with(func() { w.fail["off"] = nil })
		pass(time.Minute)
		stop()
		if got := w.states(); got["cancelled/target_off"] != 1 || len(w.notices) != 1 {
			t.Errorf("states %v, %d notices", got, len(w.notices))
		}
	})
}

func TestRetryAfterIsHeeded(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		var at []time.Time
		w.answer(func(*http.Request) (*http.Response, error) {
			at = append(at, time.Now())
			if len(at) == 1 {
				return reply(503, "Retry-After", "600"), nil
			}
			return reply(200), nil
		})
		w.subscribe("t", 1)
		stop := w.run()
		w.send(event("t", "{}"), 1)
		pass(time.Hour)
		stop()
		if len(at) != 2 || at[1].Sub(at[0]) < 10*time.Minute || at[1].Sub(at[0]) > 10*time.Minute+2*time.Second {
			t.Errorf("attempts at %v", at)
		}
	})
}
