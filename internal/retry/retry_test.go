package retry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/retry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// event makes an event whose payload is stored, as those of waiting deliveries are.
func event(tenant string, n int) *postrider.Event {
	return &postrider.Event{ID: fmt.Sprintf("evt_%d", n), Tenant: tenant, Type: "core.orders.created.v1", AcceptedAt: time.UnixMilli(1_700_000_000_000),
		Position: postrider.Position(fmt.Sprint(n)), Payload: postrider.Payload{Size: 10, Log: true}}
}

func delivery(e *postrider.Event, target int64, due time.Time) postrider.Delivery {
	return postrider.Delivery{ID: postrider.NewDeliveryID(e, target), Event: e, TargetID: target, Version: 1, Attempts: 1, Start: e.AcceptedAt, Due: due}
}

func pack(deliveries ...postrider.Delivery) *postrider.Pack {
	return &postrider.Pack{Tenant: deliveries[0].Event.Tenant, Deliveries: deliveries}
}

func put(t *testing.T, q *memory, delay time.Duration, packs ...*postrider.Pack) {
	t.Helper()
	items := make([]postrider.Item, len(packs))
	for i, p := range packs {
		items[i] = postrider.Item{Lane: postrider.LaneRetry, Delay: delay, Pack: p}
	}
	if _, err := q.Put(t.Context(), items...); err != nil {
		t.Fatal(err)
	}
}

// run starts a manager for the time of a test; what it returns stops it.
func run(t *testing.T, options retry.Options) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	m := retry.New(options)
	go func() { ended <- m.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// ids are the deliveries in packs, each with its due time, to compare with a set.
func ids(packs []*postrider.Pack) map[postrider.DeliveryID]postrider.Delivery {
	all := make(map[postrider.DeliveryID]postrider.Delivery)
	for _, p := range packs {
		for _, d := range p.Deliveries {
			all[d.ID] = d
		}
	}
	return all
}

// TestFourHours waits much longer than one delay of the queue: the delivery goes round until it is due, and is handed on then.
func TestFourHours(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newMemory()
		begin := time.Now()
		d := delivery(event("acme", 1), 7, begin.Add(4*time.Hour+700*time.Millisecond))
		put(t, q, postrider.MaxDelay, pack(d))
		stop := run(t, retry.Options{Queue: q})
		time.Sleep(4*time.Hour + 600*time.Millisecond)
		if early := q.packs(postrider.LaneBulk); len(early) > 0 {
			t.Error("handed on before it is due")
		}
		time.Sleep(time.Second)
		if got := ids(q.packs(postrider.LaneBulk)); len(got) != 1 || got[d.ID] != d {
			t.Errorf("bulk lane: %+v", got)
		}
		stop()
		if n := len(q.settles()); n > 20 {
			t.Errorf("%d rounds for 4 hours of at most 15 minutes each", n)
		}
		if left := q.packs(postrider.LaneRetry); len(left) > 0 {
			t.Errorf("%d packs left", len(left))
		}
	})
}

// TestMergesOneTargetsRetries has 250 deliveries of one target due at once, and one of another.
func TestMergesOneTargetsRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newMemory()
		due := time.Now()
		want := map[postrider.DeliveryID]bool{}
		for i := range 250 {
			d := delivery(event("acme", i), 7, due)
			want[d.ID] = true
			put(t, q, 0, pack(d))
		}
		other := delivery(event("acme", 1), 8, due)
		foreign := delivery(event("other", 1), 7, due)
		want[other.ID], want[foreign.ID] = true, true
		put(t, q, 0, pack(other), pack(foreign))
		registry := prometheus.NewRegistry()
		stop := run(t, retry.Options{Queue: q, Registerer: registry})
		synctest.Wait()
		time.Sleep(time.Second)
		bulk := q.packs(postrider.LaneBulk)
		got := ids(bulk)
		for id := range want {
			if _, ok := got[id]; !ok {
				t.Errorf("%v is missing", id)
			}
		}
		if len(got) != len(want) || len(bulk) != 5 {
			t.Errorf("%d deliveries in %d packs, want %d in 5", len(got), len(bulk), len(want))
		}
		for _, p := range bulk {
			for _, d := range p.Deliveries {
				if d.TargetID != p.Deliveries[0].TargetID || d.Event.Tenant != p.Tenant {
					t.Error("a pack of several targets or tenants")
				}
			}
		}
		stop()
		assertSafe(t, q)
		if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP postrider_retries_pending Packs that wait: in the retry lane, or in the bulk lane and not due yet, as the queue counts them; NaN if it does not answer.
# TYPE postrider_retries_pending gauge
postrider_retries_pending 0
# HELP postrider_retry_moved_total Deliveries that the retry manager moved: to bulk (due) or to retry (not due yet).
# TYPE postrider_retry_moved_total counter
postrider_retry_moved_total{to="bulk"} 252
postrider_retry_moved_total{to="retry"} 0
`), "postrider_retries_pending", "postrider_retry_moved_total"); err != nil {
			t.Error(err)
		}
	})
}

// assertSafe checks the order of settles: whatever was taken is settled alone only after what has its deliveries is durable.
func assertSafe(t *testing.T, q *memory) {
	t.Helper()
	durable := map[postrider.DeliveryID]bool{}
	for _, s := range q.settles() {
		for _, item := range s.follow {
			for _, d := range item.Pack.Deliveries {
				durable[d.ID] = true
			}
		}
		for _, d := range s.lease.Pack.Deliveries {
			if !durable[d.ID] {
				t.Errorf("%v was removed before what follows was durable", d.ID)
			}
		}
	}
}

// TestTwinsMeet: of equal ids the one that has come further is kept, once.
func TestTwinsMeet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newMemory()
		due := time.Now()
		first := delivery(event("acme", 1), 7, due)
		further := delivery(event("acme", 1), 7, due)
		further.Attempts = 3
		replayed := delivery(event("acme", 2), 7, due)
		replayed.Generation = 1
		before := delivery(event("acme", 2), 7, due)
		before.Attempts = 9
		put(t, q, 0, pack(first), pack(further), pack(replayed), pack(before), pack(first))
		stop := run(t, retry.Options{Queue: q})
		time.Sleep(time.Second)
		stop()
		bulk := q.packs(postrider.LaneBulk)
		if len(bulk) != 1 || len(bulk[0].Deliveries) != 2 {
			t.Fatalf("%d packs", len(bulk))
		}
		got := ids(bulk)
		if got[first.ID].Attempts != 3 || got[replayed.ID].Generation != 1 {
			t.Errorf("kept %+v", got)
		}
		assertSafe(t, q)
	})
}

// TestMixedPack: what is due goes on together, the rest waits, each part as long as it must.
func TestMixedPack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newMemory()
		now := time.Now()
		e := event("acme", 1)
		mixed := pack(delivery(e, 1, now), delivery(e, 2, now.Add(-time.Hour)), delivery(e, 3, now.Add(time.Minute)), delivery(e, 4, now.Add(40*time.Minute)))
		put(t, q, 0, mixed)
		stop := run(t, retry.Options{Queue: q})
		for at, want := range map[time.Duration]int{30 * time.Second: 2} {
			time.Sleep(at)
			if bulk := q.packs(postrider.LaneBulk); len(bulk) != 1 || len(bulk[0].Deliveries) != want {
				t.Errorf("after %v: %d packs", at, len(bulk))
			}
		}
		time.Sleep(31 * time.Second)
		if n := len(ids(q.packs(postrider.LaneBulk))); n != 3 {
			t.Errorf("%d after a minute, want 3", n)
		}
		time.Sleep(40 * time.Minute)
		if n := len(ids(q.packs(postrider.LaneBulk))); n != 4 {
			t.Errorf("%d after 40 minutes, want 4", n)
		}
		stop()
		assertSafe(t, q)
	})
}

// TestFarPacksAreMergedCoarse: what is due in one minute, hours away, waits as one pack, and goes apart when it comes near, so
// that each is handed on within about a second of its time and not before.
func TestFarPacksAreMergedCoarse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newMemory()
		minute := time.Now().Add(2 * time.Hour).Truncate(time.Minute)
		for i := range 60 {
			put(t, q, 0, pack(delivery(event("acme", i), 7, minute.Add(time.Duration(i)*time.Second))))
		}
		stop := run(t, retry.Options{Queue: q})
		time.Sleep(time.Minute)
		if waiting := q.packs(postrider.LaneRetry); len(waiting) != 1 || len(waiting[0].Deliveries) != 60 {
			t.Errorf("%d packs wait, want 1 of 60", len(waiting))
		}
		time.Sleep(3 * time.Hour)
		stop()
		late, early := time.Duration(0), time.Duration(0)
		for _, s := range q.settles() {
			for _, item := range s.follow {
				for _, d := range item.Pack.Deliveries {
					if item.Lane == postrider.LaneBulk {
						late, early = max(late, s.at.Sub(d.Due)), max(early, d.Due.Sub(s.at))
					}
				}
			}
		}
		if n := len(ids(q.packs(postrider.LaneBulk))); n != 60 || early > 0 || late > 1100*time.Millisecond {
			t.Errorf("%d handed on, up to %v early and %v late", n, early, late)
		}
		assertSafe(t, q)
	})
}

// TestInlinePayloads: a pack has at most 10 events whose payloads travel in it, and equal events are one.
func TestInlinePayloads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newMemory()
		for i := range 25 {
			e := event("acme", i/2) // two copies of each event: a twin
			e.Payload = postrider.Payload{Size: 1, Bytes: []byte("x")}
			put(t, q, 0, pack(delivery(e, 7, time.Now())))
		}
		stop := run(t, retry.Options{Queue: q})
		time.Sleep(time.Second)
		stop()
		bulk := q.packs(postrider.LaneBulk)
		if len(bulk) != 2 || len(ids(bulk)) != 13 {
			t.Errorf("%d packs, %d deliveries, want 2 and 13", len(bulk), len(ids(bulk)))
		}
		for _, p := range bulk {
			if len(p.Deliveries) > postrider.MaxPackEvents {
				t.Errorf("%d inline events in a pack", len(p.Deliveries))
			}
		}
	})
}

// TestSmallItems: what would not fit the queue is not merged so far.
func TestSmallItems(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newMemory()
		q.maxBytes = 30
		for i := range 90 {
			put(t, q, 0, pack(delivery(event("acme", i), 7, time.Now())))
		}
		stop := run(t, retry.Options{Queue: q})
		time.Sleep(time.Second)
		stop()
		bulk := q.packs(postrider.LaneBulk)
		if len(ids(bulk)) != 90 || len(bulk) != 4 {
			t.Errorf("%d deliveries in %d packs", len(ids(bulk)), len(bulk))
		}
	})
}

// TestOutage: while settling fails nothing is lost, the manager slows down, and it goes on by itself.
func TestOutage(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]func(*memory, func() error){
		"commit": func(q *memory, err func() error) {
			q.fail = func(*postrider.Lease, []postrider.Item) error { return err() }
		},
		"settle": func(q *memory, err func() error) { q.refuse = err },
		"take":   func(q *memory, err func() error) { q.takeErr = err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := newMemory()
				until, calls := time.Now().Add(10*time.Minute), 0
				broken(q, func() error {
					if time.Now().Before(until) {
						calls++
						return postrider.Errorf(postrider.CodeUnavailable, "away")
					}
					return nil
				})
				for i := range 50 {
					put(t, q, 0, pack(delivery(event("acme", i), int64(i%5), time.Now())))
				}
				stop := run(t, retry.Options{Queue: q})
				time.Sleep(11 * time.Minute)
				stop()
				if n := len(ids(q.packs(postrider.LaneBulk))); n != 50 {
					t.Errorf("%d of 50 handed on", n)
				}
				if calls > 10_000 {
					t.Errorf("%d calls in 10 minutes: no back-off", calls)
				}
				assertSafe(t, q)
			})
		})
	}
}

// TestPoisoned: one delivery that the queue never takes does not hold back those that were merged with it.
func TestPoisoned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newMemory()
		poison := delivery(event("acme", 0), 7, time.Now())
		q.fail = func(_ *postrider.Lease, follow []postrider.Item) error {
			for _, item := range follow {
				for _, d := range item.Pack.Deliveries {
					if d.ID == poison.ID && (len(item.Pack.Deliveries) > 1 || len(follow) == 1) {
						return errors.New("refused")
					}
				}
			}
			return nil
		}
		together := pack(poison, delivery(event("acme", 1), 7, time.Now()), delivery(event("acme", 2), 7, time.Now()))
		put(t, q, 0, together, pack(delivery(event("acme", 3), 7, time.Now())))
		stop := run(t, retry.Options{Queue: q})
		time.Sleep(10 * time.Minute)
		stop()
		if n := len(ids(q.packs(postrider.LaneBulk))); n < 3 {
			t.Errorf("%d handed on, want the 3 good ones at least", n)
		}
		assertSafe(t, q)
	})
}

// TestClockJumps: a clock that went back by years does not make a delivery wait for years, one that went ahead loses nothing.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	for name, jump := range map[string]time.Duration{"back": -3 * 365 * 24 * time.Hour, "a little back": -time.Hour, "ahead": 48 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := newMemory()
				now := time.Now()
				tried := delivery(event("acme", 1), 7, now.Add(10*time.Minute))
				tried.LastTry = now
				deferred := delivery(event("acme", 2), 7, now.Add(10*time.Minute))
				put(t, q, 10*time.Minute, pack(tried), pack(deferred))
				stop := run(t, retry.Options{Queue: q, Clock: func() time.Time { return time.Now().Add(jump) }})
				time.Sleep(75 * time.Minute)
				stop()
				if n := len(ids(q.packs(postrider.LaneBulk))); n != 2 {
					t.Errorf("%d of 2 handed on", n)
				}
			})
		})
	}
}

// TestManyManagers share 5,000 deliveries with little credit; each delivery is handed on, and nothing waits for room for ever.
func TestManyManagers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newMemory()
		for i := range 5000 {
			put(t, q, 0, pack(delivery(event("acme", i), int64(i%100), time.Now())))
		}
		var stops []func()
		for range 3 {
			stops = append(stops, run(t, retry.Options{Queue: q, Credit: 64, Takers: 2}))
		}
		time.Sleep(time.Minute)
		for _, stop := range stops {
			stop()
		}
		if n := len(ids(q.packs(postrider.LaneBulk))); n != 5000 {
			t.Errorf("%d of 5000 handed on", n)
		}
		assertSafe(t, q)
	})
}

// TestStop: what was taken is settled before Run returns; a queue that does not answer holds a stop up for the drain only.
func TestStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newMemory()
		put(t, q, 0, pack(delivery(event("acme", 1), 7, time.Now())))
		stop := run(t, retry.Options{Queue: q})
		synctest.Wait()
		stop() // the settle has begun and is not durable
		if n := len(q.packs(postrider.LaneBulk)); n != 1 {
			t.Errorf("%d packs handed on, want 1", n)
		}
		stuck := &silent{newMemory()}
		put(t, stuck.memory, 0, pack(delivery(event("acme", 1), 7, time.Now())))
		stop = run(t, retry.Options{Queue: stuck, Drain: 10 * time.Second})
		synctest.Wait()
		begin := time.Now()
		stop()
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("the stop took %v, want the drain", took)
		}
	})
}

// silent is a queue whose writes never become durable.
type silent struct{ *memory }

func (*silent) Settle(context.Context, *postrider.Lease, ...postrider.Item) (*postrider.Commit, error) {
	commit, _ := postrider.NewCommit()
	return commit, nil
}

// TestClosedQueue: a queue that is closed under the manager ends it with an error.
func TestClosedQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newMemory()
		q.takeErr = func() error { return postrider.Errorf(postrider.CodeGone, "closed") }
		if err := retry.New(retry.Options{Queue: q}).Run(t.Context()); postrider.CodeOf(err) != postrider.CodeGone {
			t.Errorf("%v", err)
		}
	})
}
