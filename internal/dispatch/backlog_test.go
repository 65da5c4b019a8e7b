package dispatch_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider"
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

// TestLateBacklogIsAttempted has more come after its window than its target takes at once: each gets its attempt.
func TestLateBacklogIsAttempted(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		w.answer(func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return reply(200), nil
		})
		w.subscribe("t", 1)
		for range 500 {
			e := event("t", "{}")
			e.AcceptedAt = e.AcceptedAt.Add(-48 * time.Hour)
			w.send(e, 1)
		}
		stop := w.run()
		pass(10 * time.Minute)
		stop()
		if got := w.states(); got["delivered"] != 500 || len(got) != 1 {
			t.Errorf("states %v", got)
		}
	})
}

// TestHeldToTheEnd never has a slot for some: what came within its window and found none until it ended is given up.
func TestHeldToTheEnd(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		w.hang("target-1.test")
		w.subscribe("t", 1, func(x *postrider.Target) { x.MaxInFlight, x.Retry.Window = 1, 2*time.Minute })
		stop := w.run()
		for range 50 {
			w.send(event("t", "{}"), 1)
		}
		pass(10 * time.Minute)
		stop()
		got := w.states()
		if got["exhausted/held"] < 30 || got["exhausted/held"]+got["exhausted/window"] != 50 {
			t.Errorf("states %v", got)
		}
	})
}

// hanging is an outcome log that does not answer: Record blocks, or its Commit stays open.
type hanging struct {
	outcomes
	blocks bool
}

func (h hanging) Record(ctx context.Context, _ []postrider.Outcome) (*postrider.Commit, error) {
	if h.blocks {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	open, _ := postrider.NewCommit()
	return open, nil
}

// TestOutcomeLogThatHangs goes on delivering: the outcomes go to the queue.
func TestOutcomeLogThatHangs(t *testing.T) {
	t.Parallel()
	for name, blocks := range map[string]bool{"blocked": true, "not durable": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			simulated(t, func(w *world) {
				t := w.t
				const events = 20_000
				w.options.Outcomes = hanging{outcomes{w}, blocks}
				w.answer(func(*http.Request) (*http.Response, error) { return reply(200), nil })
				w.subscribe("t", 1)
				for range events / 10 {
					e := event("t", "{}")
					pack := &postrider.Pack{Tenant: "t"}
					for range 10 {
						pack.Deliveries = append(pack.Deliveries, deliveryOf(e, 1))
					}
					w.put(pack)
				}
				stop := w.run()
				pass(30 * time.Second) // half of a lease
				stop()
				diverted := 0
				for _, item := range w.queue.in(postrider.LaneOutcomes) {
					diverted += len(item.Outcomes)
				}
				if left := len(w.queue.in(postrider.LaneFirst)); diverted != events || left != 0 {
					t.Errorf("%d of %d outcomes are in the queue, %d packs left", diverted, events, left)
				}
			})
		})
	}
}

// TestNothingWaitsForTheTrial has an outcome log stay away: it is tried now and then, and no outcome waits for that. It is told once
// that it is away, and once that it is back.
func TestNothingWaitsForTheTrial(t *testing.T) {
	t.Parallel()
	for name, blocks := range map[string]bool{"blocked": true, "not durable": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			simulated(t, func(w *world) {
				t := w.t
				var log bytes.Buffer
				w.options.Logger = slog.New(slog.NewTextHandler(&log, nil))
				away := &switched{outcomes: outcomes{w}, away: hanging{outcomes{w}, blocks}}
				away.is.Store(true)
				w.options.Outcomes = away
				w.answer(func(*http.Request) (*http.Response, error) { return reply(200), nil })
				w.subscribe("t", 1)
				stop := w.run()
				w.send(event("t", "{}"), 1)
				pass(10 * time.Second)
				for n := range 100 {
					w.send(event("t", "{}"), 1)
					pass(200 * time.Millisecond)
					if items := len(w.queue.in(postrider.LaneOutcomes)); items != n+2 {
						t.Errorf("%d of %d outcomes are in the queue", items, n+2)
						break
					}
				}
				if away.asked.Load() < 3 {
					t.Errorf("the log was tried %d times", away.asked.Load())
				}
				away.is.Store(false)
				for range 12 {
					pass(time.Second)
					w.send(event("t", "{}"), 1)
				}
				pass(time.Second)
				diverted := len(w.queue.in(postrider.LaneOutcomes))
				w.send(event("t", "{}"), 1)
				pass(time.Second)
				stop()
				if now := len(w.queue.in(postrider.LaneOutcomes)); now != diverted || w.states()["delivered"] == 0 {
					t.Errorf("the log is back, and %d outcomes more went by the queue", now-diverted)
				}
				for _, told := range []string{"level=WARN", "takes outcomes again"} {
					if n := strings.Count(log.String(), told); n != 1 {
						t.Errorf("%q is told %d times:\n%s", told, n, log.String())
					}
				}
			})
		})
	}
}

// switched is an outcome log that is away or not.
type switched struct {
	outcomes
	away  hanging
	is    atomic.Bool
	asked atomic.Int64
}

func (s *switched) Record(ctx context.Context, batch []postrider.Outcome) (*postrider.Commit, error) {
	s.asked.Add(1)
	if s.is.Load() {
		return s.away.Record(ctx, batch)
	}
	return s.outcomes.Record(ctx, batch)
}

// TestDeferralsShareItems puts off a backlog that came one by one: what is due in one second waits in one item.
func TestDeferralsShareItems(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		w.answer(func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return reply(200), nil
		})
		w.subscribe("t", 1)
		stop := w.run()
		for range 1000 {
			e := event("t", "{}")
			e.Payload.Log = true
			w.log[e.Position] = *e
			w.send(e, 1)
		}
		pass(900 * time.Millisecond)
		items, deliveries := w.queue.in(postrider.LaneRetry), w.queue.deliveries(postrider.LaneRetry)
		if len(deliveries) < 500 || len(items)*5 > len(deliveries) {
			t.Errorf("%d deliveries wait in %d items", len(deliveries), len(items))
		}
		for _, d := range deliveries {
			if d.Event.Payload.Bytes != nil {
				t.Fatal("what waits carries its payload besides the reference")
			}
		}
		pass(time.Hour)
		stop()
		if got := w.states(); got["delivered"] != 1000 || len(w.queue.items) != 0 {
			t.Errorf("states %v, %d items left", got, len(w.queue.items))
		}
	})
}

// TestBacklogIsNotFetchedInVain has a backlog whose payloads are in the log, of which few may be sent: only for those they are read.
func TestBacklogIsNotFetchedInVain(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		sent := 0
		w.answer(func(*http.Request) (*http.Response, error) {
			w.with(func() { sent++ })
			time.Sleep(5 * time.Second)
			return reply(200), nil
		})
		w.subscribe("t", 1, func(x *postrider.Target) { x.MaxInFlight = 1 })
		stop := w.run()
		for range 300 {
			e := event("t", "{}")
			e.Payload.Log = true
			w.with(func() { w.log[e.Position] = *e })
			e.Payload.Bytes = nil
			w.send(e, 1)
		}
		pass(time.Second) // at first nothing is known of the target, and many wait in hand for a place
		w.with(func() { w.gets, sent = 0, 0 })
		pass(10 * time.Minute)
		w.with(func() {
			if sent < 60 || w.gets > sent+1 { // one may be about to be sent
				t.Errorf("%d payloads were read, and %d deliveries sent", w.gets, sent)
			}
		})
		pass(time.Hour)
		stop()
		if got := w.states(); got["delivered"] != 300 {
			t.Errorf("states %v", got)
		}
	})
}

// TestLongDeferralStoresItsPayload holds a delivery whose payload travels inline.
func TestLongDeferralStoresItsPayload(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		w.answer(func(*http.Request) (*http.Response, error) { return reply(200), nil })
		w.subscribe("t", 1, func(x *postrider.Target) { x.State = postrider.TargetUnproven })
		stop := w.run()
		w.send(event("t", strings.Repeat("x", 5000)), 1)
		pass(6 * time.Hour)
		if waiting := w.queue.deliveries(postrider.LaneRetry); len(waiting) != 1 || waiting[0].Event.Payload.Key == "" || waiting[0].Event.Payload.Bytes != nil {
			t.Errorf("waiting: %+v", waiting)
		}
		w.target("t", 1)
		pass(time.Hour)
		stop()
		if got := w.states(); got["delivered"] != 1 || len(w.stored) != 1 {
			t.Errorf("states %v, %d payloads stored", got, len(w.stored))
		}
	})
}
