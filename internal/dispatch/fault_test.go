package dispatch_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

func TestPanicIsAFailedAttempt(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		w.answer(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "target-1.test" && r.Header.Get("Postrider-Attempt") == "1" {
				panic("boom")
			}
			return reply(200), nil
		})
		w.subscribe("t", 1)
		w.subscribe("t", 2)
		stop := w.run()
		w.send(event("t", "{}"), 1, 2)
		pass(time.Minute)
		stop()
		if got := w.states(); got["delivered"] != 2 || got["retrying"] != 1 {
			t.Errorf("states %v", got)
		}
		if w.metric("postrider_attempts_total", "class", "internal") != 1 || w.metric("postrider_in_flight") != 0 {
			t.Error("the panic is not counted, or its slot is kept")
		}
	})
}

// TestOutcomesGoToTheQueue has the outcome log fail, then the queue too.
func TestOutcomesGoToTheQueue(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		var sent atomic.Int64
		w.answer(func(*http.Request) (*http.Response, error) { sent.Add(1); return reply(200), nil })
		w.subscribe("t", 1)
		w.fail["record"] = errDown
		stop := w.run()
		w.send(event("t", "{}"), 1)
		pass(time.Second)
		diverted := w.queue.in(postrider.LaneOutcomes)
		if len(diverted) != 1 || diverted[0].Outcomes[0].State != postrider.StateDelivered || len(w.queue.in(postrider.LaneFirst)) != 0 {
			t.Errorf("%d items of outcomes, %d are left", len(diverted), len(w.queue.in(postrider.LaneFirst)))
		}
		// A delivery whose outcome neither takes is kept, and nothing more is taken.
		w.send(event("t", "{}"), 1)
		w.queue.set("put", errDown)
		pass(time.Second)
		w.queue.set("put", nil)
		for range 5 {
			w.send(event("t", "{}"), 1)
		}
		w.queue.set("put", errDown)
		settled := w.queue.settles
		pass(10 * time.Second)
		if n := len(w.queue.in(postrider.LaneFirst)); sent.Load() > 3 || w.queue.settles != settled || n < 5 {
			t.Errorf("%d sent, %d settled, %d left though nothing takes outcomes", sent.Load(), w.queue.settles-settled, n)
		}
		w.with(func() { w.fail["record"] = nil })
		pass(20 * time.Second)
		w.queue.set("put", nil)
		pass(time.Second)
		stop()
		total := w.states()["delivered"]
		for _, item := range w.queue.in(postrider.LaneOutcomes) {
			total += len(item.Outcomes)
		}
		if total != 7 || sent.Load() != 7 || len(w.queue.in(postrider.LaneFirst)) != 0 {
			t.Errorf("%d outcomes of %d attempts", total, sent.Load())
		}
	})
}

// TestClockSetBackWhileTheLogIsAway: the log is tried again after some seconds, though it was found away by a clock that was hours ahead.
func TestClockSetBackWhileTheLogIsAway(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		var ahead atomic.Int64
		ahead.Store(int64(6 * time.Hour))
		w.options.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		w.queue.lease = 12 * time.Hour // else it would have ended by that clock
		w.answer(func(*http.Request) (*http.Response, error) { return reply(200), nil })
		w.subscribe("t", 1)
		w.fail["record"] = errDown
		stop := w.run()
		w.send(event("t", "{}"), 1)
		pass(time.Second)
		if n := len(w.queue.in(postrider.LaneOutcomes)); n != 1 {
			t.Errorf("%d items of outcomes, while the log is away", n)
		}
		ahead.Store(0)
		w.with(func() { w.fail["record"] = nil })
		for range 12 {
			w.send(event("t", "{}"), 1)
			pass(time.Second)
		}
		stop()
		if n := len(w.outcomes()); n < 5 {
			t.Errorf("the log has %d outcomes after 12 s, one a second", n)
		}
	})
}

// TestSettleIsTriedAgain has the queue refuse to settle for a while: nothing is sent twice.
func TestSettleIsTriedAgain(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		var sent atomic.Int64
		w.answer(func(*http.Request) (*http.Response, error) { sent.Add(1); return reply(200), nil })
		w.subscribe("t", 1)
		w.queue.set("settle", errDown)
		stop := w.run()
		w.send(event("t", "{}"), 1)
		pass(20 * time.Second)
		w.queue.set("settle", nil)
		pass(time.Hour)
		stop()
		if sent.Load() != 1 || len(w.queue.items) != 0 {
			t.Errorf("%d sent, %d items left", sent.Load(), len(w.queue.items))
		}
	})
}

// TestPackThatComesAgainIsSplit never settles, as if each dispatcher died.
func TestPackThatComesAgainIsSplit(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		sent := map[string]int{}
		w.answer(func(r *http.Request) (*http.Response, error) {
			w.with(func() { sent[r.URL.Host]++ })
			return reply(200), nil
		})
		w.subscribe("t", 1)
		w.subscribe("t", 2)
		e := event("t", "{}")
		w.send(e, 1, 2)
		w.queue.items[0].receives = 2
		single := event("t", "{}")
		w.send(single, 1)
		w.queue.items[1].receives = 4
		stop := w.run()
		pass(time.Second)
		stop()
		if got := w.states(); got["delivered"] != 2 || got["exhausted/internal"] != 1 {
			t.Errorf("states %v", got)
		}
		if w.metric("postrider_dispatch_packs_split_total") != 1 || w.metric("postrider_twins_total", "cause", "redelivered") != 3 {
			t.Error("the split, or the twins, are not counted")
		}
		if len(w.queue.settled) != 2 || len(w.queue.settled[0].Pack.Deliveries) != 1 {
			t.Errorf("followed: %v", w.queue.settled)
		}
	})
}

// TestNothingBeginsThatTheLeaseDoesNotCover takes with a lease that is shorter than an attempt may last.
func TestNothingBeginsThatTheLeaseDoesNotCover(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		w.queue.lease = 16 * time.Second // the timeout is 15 s, and there is a margin
		w.answer(func(*http.Request) (*http.Response, error) { t.Error("sent"); return reply(200), nil })
		w.subscribe("t", 1)
		stop := w.run()
		w.send(event("t", "{}"), 1)
		pass(time.Minute)
		stop()
		if left := w.queue.in(postrider.LaneFirst); len(w.states()) != 0 || len(left) != 1 {
			t.Errorf("states %v, %d left", w.states(), len(left))
		}
		if n := w.queue.settles; n < 50 || n > 70 {
			t.Errorf("put anew %d times in a minute", n)
		}
	})
}

// TestStop ends attempts in flight and gives the rest back.
func TestStop(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		w.answer(func(*http.Request) (*http.Response, error) {
			time.Sleep(5 * time.Second)
			return reply(200), nil
		})
		for id := int64(1); id <= 6; id++ {
			w.subscribe("t", id)
		}
		w.options.MaxInFlight = 4
		stop := w.run()
		w.send(event("t", "{}"), 1, 2, 3, 4, 5, 6)
		pass(100 * time.Millisecond)
		begin := time.Now()
		stop()
		if took := time.Since(begin); took > 6*time.Second {
			t.Errorf("the stop took %v", took)
		}
		left := len(w.queue.deliveries(postrider.LaneFirst)) + len(w.queue.deliveries(postrider.LaneRetry)) + len(w.queue.deliveries(postrider.LaneBulk))
		if got := w.states()["delivered"]; got != 3 || left != 3 || len(w.states()) != 1 {
			t.Errorf("states %v, %d left", w.states(), left)
		}
	})
}

// TestDrainEnds cuts off what does not end within the drain; the attempt is recorded and tried again.
func TestDrainEnds(t *testing.T) {
	t.Parallel()
	simulated(t, func(w *world) {
		t := w.t
		w.answer(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		w.subscribe("t", 1)
		w.options.Drain = 3 * time.Second
		stop := w.run()
		w.send(event("t", "{}"), 1)
		pass(time.Second)
		stop()
		o := w.outcomes()
		if len(o) != 1 || o[0].Attempt.Class != postrider.ClassInterrupted || o[0].State != postrider.StateRetrying {
			t.Errorf("outcomes %+v", o)
		}
		if len(w.queue.deliveries(postrider.LaneBulk)) != 1 {
			t.Error("nothing follows")
		}
	})
}

func TestPayloads(t *testing.T) {
	t.Parallel()
	stored := func(w *world, e *postrider.Event) {
		w.stored["k"] = e.Payload.Bytes
		e.Payload.Key, e.Payload.Bytes = "k", nil
	}
	logged := func(w *world, e *postrider.Event) {
		w.log[e.Position] = *e
		e.Payload.Log, e.Payload.Bytes = true, nil
	}
	for name, c := range map[string]struct {
		prepare func(w *world, e *postrider.Event)
		want    string
		gets    int
	}{
		"stored": {stored, "delivered", 1},
		"logged": {logged, "delivered", 1},
		"expired in the store": {func(w *world, e *postrider.Event) {
			w.log[e.Position] = *e
			stored(w, e)
			delete(w.stored, "k")
		}, "delivered", 2},
		"lost": {func(w *world, e *postrider.Event) { stored(w, e); delete(w.stored, "k") }, "exhausted/payload_lost", 2},
		"another event in the log": {func(w *world, e *postrider.Event) {
			logged(w, e)
			other := w.log[e.Position]
			other.Tenant = "another"
			w.log[e.Position] = other
		}, "exhausted/payload_lost", 1},
		"lost from the log": {func(w *world, e *postrider.Event) { logged(w, e); delete(w.log, e.Position) }, "exhausted/payload_lost", 1},
		"store away": {func(w *world, e *postrider.Event) {
			stored(w, e)
			w.fail["get"] = errDown
			time.AfterFunc(time.Minute, func() { w.with(func() { w.fail["get"] = nil }) })
		}, "delivered", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			simulated(t, func(w *world) {
				t := w.t
				e := event("t", "the payload")
				c.prepare(w, e)
				bodies := w.sentToTwo(e)
				if got := w.states(); got[c.want] != 2 || len(got) != 1 {
					t.Errorf("states %v, want two %s", got, c.want)
				}
				if c.want == "delivered" && (len(bodies) != 2 || bodies[0] != "the payload") {
					t.Errorf("sent %q", bodies)
				}
				if c.gets > 0 && w.gets > 2*c.gets {
					t.Errorf("%d fetches", w.gets)
				}
			})
		})
	}
}

// sentToTwo sends an event to two targets, and returns the bodies that arrived within two minutes.
func (w *world) sentToTwo(e *postrider.Event) (bodies []string) {
	w.answer(func(r *http.Request) (*http.Response, error) {
		b := make([]byte, r.ContentLength)
		_, _ = r.Body.Read(b)
		w.with(func() { bodies = append(bodies, string(b)) })
		return reply(200), nil
	})
	w.subscribe("t", 1)
	w.subscribe("t", 2)
	stop := w.run()
	w.send(e, 1, 2)
	pass(2 * time.Minute)
	stop()
	return bodies
}
