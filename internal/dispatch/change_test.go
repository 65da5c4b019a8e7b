package dispatch_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/sign"
)

// TestChangesHoldForPendingRetries changes what a target is while a retry waits.
func TestChangesHoldForPendingRetries(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(w *world)
		want   string
		check  func(r *http.Request) error
	}{
		"url": {func(w *world) { w.target("t", 1, func(x *postrider.Target) { x.URL = "http://moved.test/" }) }, "delivered",
			func(r *http.Request) error {
				if r.URL.Host != "moved.test" {
					return fmt.Errorf("sent to %s", r.URL)
				}
				return nil
			}},
		"secret": {func(w *world) {
			w.target("t", 1, func(x *postrider.Target) {
				x.Secrets = []postrider.Secret{{Sealed: secret(77)}, {Sealed: secret(1), ExpiresAt: time.Now()}}
			})
		}, "delivered", func(r *http.Request) error {
			if sign.Verify([]*sign.Key{sign.NewKey(secret(1))}, r.Header, []byte("{}"), time.Now()) == nil {
				return errors.New("an expired secret signs")
			}
			return sign.Verify([]*sign.Key{sign.NewKey(secret(77))}, r.Header, []byte("{}"), time.Now())
		}},
		"subscription": {func(w *world) { w.active("t", 1, false) }, "cancelled/unsubscribed", nil},
		"target off": {func(w *world) { w.target("t", 1, func(x *postrider.Target) { x.State = postrider.TargetOff }) },
			"cancelled/target_off", nil},
		"target deleted": {func(w *world) { w.change(postrider.Change{Kind: postrider.KindTarget, ID: 1, Tenant: "t"}) },
			"cancelled/target_deleted", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			simulated(t, func(w *world) {
				t := w.t
				requests := w.changedWhileRetrying(c.change)
				if got := w.states(); got[c.want] != 1 || got["retrying"] != 1 || len(got) != 2 {
					t.Errorf("states %v, want %s", got, c.want)
				}
				switch {
				case c.check == nil && len(requests) != 1, c.check != nil && len(requests) != 2:
					t.Errorf("%d requests", len(requests))
				case c.check != nil:
					if err := c.check(requests[1]); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

// changedWhileRetrying sends an event whose first attempt fails, makes a change while its retry waits, and returns the requests that were sent.
func (w *world) changedWhileRetrying(change func(*world)) (requests []*http.Request) {
	w.answer(func(r *http.Request) (*http.Response, error) {
		requests = append(requests, r)
		if len(requests) == 1 {
			return reply(500), nil
		}
		return reply(200), nil
	})
	w.subscribe("t", 1)
	stop := w.run()
	w.send(event("t", "{}"), 1)
	synctest.Wait()
	change(w)
	pass(time.Minute)
	stop()
	return requests
}

// TestStaleCacheCancelsNothing has deliveries that a frozen cache is too old for: one to a target that it does not know, one
// to a target that it believes to be off.
func TestStaleCacheCancelsNothing(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		var sent atomic.Int64
		w.answer(func(*http.Request) (*http.Response, error) { sent.Add(1); return reply(200), nil })
		w.subscribe("t", 1, func(x *postrider.Target) { x.State = postrider.TargetOff })
		stop := w.run()
		synctest.Wait()
		w.with(func() { w.frozen = true })
		on := w.target("t", 1)
		newer := w.subscribe("t", 2)
		one, two := event("t", "{}"), event("t", "{}")
		for target, d := range map[int64]postrider.Delivery{1: deliveryOf(one, 1), 2: deliveryOf(two, 2)} {
			d.Version = map[int64]uint64{1: on, 2: newer}[target]
			w.put(&postrider.Pack{Tenant: "t", Deliveries: []postrider.Delivery{d}})
		}
		pass(time.Hour)
		if got := w.states(); len(got) != 0 || sent.Load() != 0 {
			t.Errorf("states %v, %d sent", got, sent.Load())
		}
		// The pause grows from 250 ms to 5 s: an hour brings 700 rounds or a little more for each.
		if n := w.metric("postrider_deferred_total", "reason", "stale"); n < 100 || n > 3000 {
			t.Errorf("deferred %v times", n)
		}
		w.with(func() { w.frozen = false })
		pass(10 * time.Second)
		stop()
		if got := w.states(); got["delivered"] != 2 || len(got) != 1 {
			t.Errorf("states %v", got)
		}
	})
}

// TestUnprovenIsHeld leaves a delivery to a target that never proves itself unattempted.
func TestUnprovenIsHeld(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		w.answer(func(*http.Request) (*http.Response, error) { t.Error("sent"); return reply(200), nil })
		w.subscribe("t", 1, func(x *postrider.Target) { x.State = postrider.TargetUnproven })
		stop := w.run()
		w.send(event("t", "{}"), 1)
		pass(23 * time.Hour)
		if got := w.states(); len(got) != 0 {
			t.Errorf("states %v", got)
		}
		if n := w.metric("postrider_deferred_total", "reason", "unproven"); n > 500 {
			t.Errorf("deferred %v times", n)
		}
		pass(2 * time.Hour)
		stop()
		if got := w.states(); got["exhausted/held"] != 1 || len(got) != 1 {
			t.Errorf("states %v", got)
		}
		if len(w.holds) == 0 || w.holds[0][0].Reason != postrider.HoldUnproven {
			t.Errorf("%d publications of holds", len(w.holds))
		}
	})
}

// TestLateDeliveryIsAttempted delivers an event whose window is long over.
func TestLateDeliveryIsAttempted(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		var sent atomic.Int64
		w.answer(func(*http.Request) (*http.Response, error) { sent.Add(1); return reply(500), nil })
		w.subscribe("t", 1)
		stop := w.run()
		e := event("t", "{}")
		e.AcceptedAt = e.AcceptedAt.Add(-30 * 24 * time.Hour)
		w.send(e, 1)
		pass(time.Hour)
		stop()
		if got := w.states(); got["exhausted/window"] != 1 || sent.Load() != 1 {
			t.Errorf("states %v, %d sent", got, sent.Load())
		}
	})
}
