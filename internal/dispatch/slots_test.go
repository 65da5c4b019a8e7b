package dispatch

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
)

// TestSlotsAddUp has many goroutines take and give slots back, some of which give up waiting: no limit is ever passed, and
// nothing is left at the end.
func TestSlotsAddUp(t *testing.T) {
	t.Parallel()
	const total, limit, tenants, targets = 12, 3, 4, 8
	s := newSlots(total, leastPatience, prometheus.NewGauge(prometheus.GaugeOpts{Name: "x"}))
	var inAll atomic.Int64
	var perTarget [targets]atomic.Int64
	var granted atomic.Int64
	stopped, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for g := range 60 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(g)))
			for range 200 {
				target := random.IntN(targets)
				tenant := fmt.Sprint(target % tenants)
				ctx := t.Context()
				if random.IntN(4) == 0 {
					ctx = stopped
				}
				c := &claim{lane: postrider.LaneFirst, tenantName: tenant, targetID: int64(target), limit: limit, longest: time.Minute}
				if s.acquire(ctx, c) != whyNot {
					continue
				}
				granted.Add(1)
				if inAll.Add(1) > total || perTarget[target].Add(1) > limit {
					t.Error("a limit is passed")
				}
				if random.IntN(50) == 0 {
					s.sweep()
				}
				perTarget[target].Add(-1)
				inAll.Add(-1)
				s.release(c, time.Microsecond)
			}
		})
	}
	stop()
	wg.Wait()
	if s.used != 0 || s.waiting != 0 || s.queued != 0 || s.pending != 0 || len(s.ring) != 0 || granted.Load() == 0 {
		t.Errorf("left: %+v, %d granted", s, granted.Load())
	}
	for id, x := range s.targets {
		if x.places != 0 || len(x.waiters) != 0 {
			t.Errorf("left of target %d: %+v", id, x)
		}
	}
	for name, x := range s.tenants {
		if x.used != 0 || x.waiting != 0 || x.pending != 0 || len(x.waiters) != 0 {
			t.Errorf("left of tenant %s: %+v", name, x)
		}
	}
}

// TestReserve fills a tenant's share, and finds the reserve open to others up to their fair share only.
func TestReserve(t *testing.T) {
	t.Parallel()
	s := newSlots(8, leastPatience, prometheus.NewGauge(prometheus.GaugeOpts{Name: "x"}))
	ended, end := context.WithCancel(t.Context())
	end() // nobody waits
	take := func(tenant string) why {
		return s.acquire(ended, &claim{lane: postrider.LaneFirst, tenantName: tenant, targetID: 1, limit: 100, longest: time.Minute})
	}
	for i := range 6 {
		if w := take("a"); w != whyNot {
			t.Fatalf("slot %d: %s", i, w)
		}
	}
	if take("a") == whyNot {
		t.Error("a tenant takes of the reserve beyond its fair share")
	}
	if !s.full("a") || s.full("b") {
		t.Error("the hint to the queue is wrong")
	}
	for i := range 2 {
		if w := take("b"); w != whyNot {
			t.Errorf("slot %d of the reserve: %s", i, w)
		}
	}
	if take("b") == whyNot || take("c") == whyNot {
		t.Error("more than all slots are taken")
	}
}

// TestPromisesFollowOneAnother promises the slots of a target that is stuck.
func TestPromisesFollowOneAnother(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := pace{latency: 10 * time.Second, moved: now, since: now.Add(-time.Hour), next: now.Add(time.Second)}
	for n := 1; n <= 100; n++ {
		at := p.promise(5, now, 1)
		if want := now.Add(time.Second + time.Duration(n)*2*time.Second); !at.Equal(want) {
			t.Fatalf("promise %d is %v, want %v", n, at.Sub(now), want.Sub(now))
		}
	}
}

// TestPatienceCoversTheStep: of what a queue brings once a second, since its delays are whole seconds, all is sent that the target has
// slots for until the next second.
func TestPatienceCoversTheStep(t *testing.T) {
	t.Parallel()
	const limit, latency = 32, 100 * time.Millisecond
	const perSecond = limit * int(time.Second/latency)
	for step, least := range map[time.Duration]int{0: limit, time.Second: perSecond * 9 / 10} {
		synctest.Test(t, func(t *testing.T) {
			s := newSlots(DefaultMaxInFlight, leastPatience+step, prometheus.NewGauge(prometheus.GaugeOpts{Name: "x"}))
			var sent atomic.Int64
			burst := func(n int) {
				for range n {
					go func() {
						c := &claim{lane: postrider.LaneBulk, tenantName: "acme", targetID: 1, limit: limit, longest: time.Minute}
						if s.acquire(t.Context(), c) == whyNot {
							time.Sleep(latency)
							sent.Add(1)
							s.release(c, latency)
						}
					}()
				}
				time.Sleep(2 * time.Second)
			}
			burst(1) // the target's pace is known then
			before := sent.Load()
			burst(perSecond)
			if n := int(sent.Load() - before); n < least || step == 0 && n > perSecond/2 {
				t.Errorf("%d of %d were sent with a step of %v, want %d at least", n, perSecond, step, least)
			}
		})
	}
}

// TestTargetAtItsLimitLeavesRoom: one target takes all that it can get, where the queue's delays are coarse. It is kept busy, and
// its tenant's other targets find room all the time.
func TestTargetAtItsLimitLeavesRoom(t *testing.T) {
	t.Parallel()
	const limit, latency = 32, 100 * time.Millisecond
	const perSecond = limit * int(time.Second/latency)
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(DefaultMaxInFlight, leastPatience+time.Second, prometheus.NewGauge(prometheus.GaugeOpts{Name: "x"}))
		stop, cancel := context.WithCancel(t.Context())
		var sent atomic.Int64
		send := func(target int64, took time.Duration) why {
			c := &claim{lane: postrider.LaneFirst, tenantName: "acme", targetID: target, limit: limit, longest: time.Minute}
			refused := s.acquire(stop, c)
			if refused == whyNot {
				time.Sleep(took)
				s.release(c, took)
			}
			return refused
		}
		for range 2 * DefaultMaxInFlight {
			go func() {
				for stop.Err() == nil {
					if send(1, latency) == whyNot {
						sent.Add(1)
					} else {
						time.Sleep(time.Second) // it was put off
					}
				}
			}()
		}
		time.Sleep(3 * time.Second)
		const seconds = 10
		before := sent.Load()
		for i := 0; i < 100*seconds && !t.Failed(); i++ {
			if s.full("acme") {
				t.Errorf("nothing of the tenant is taken after %d ms", 10*i)
			}
			if refused := send(2, time.Millisecond); refused != whyNot {
				t.Errorf("another target lacks %s after %d ms", refused, 10*i)
			}
			time.Sleep(9 * time.Millisecond)
		}
		if n := int(sent.Load() - before); n < seconds*perSecond*9/10 {
			t.Errorf("%d were sent to the target at its limit in %d s, want %d", n, seconds, seconds*perSecond)
		}
		cancel()
		synctest.Wait()
		time.Sleep(2 * time.Second)
	})
}

// sending has deliveries of a target ask for slots until each had one, put off as often as it takes, and returns what waits for that.
func sending(t *testing.T, s *slots, tenant string, target int64, n, limit int, took func() time.Duration) (wait func() (putOff int64)) {
	t.Helper()
	var all sync.WaitGroup
	var putOff atomic.Int64
	for range n {
		all.Go(func() {
			c := &claim{lane: postrider.LaneFirst, tenantName: tenant, targetID: target, limit: limit, longest: time.Minute}
			for refused := s.acquire(t.Context(), c); refused != whyNot; refused = s.acquire(t.Context(), c) {
				if t.Failed() || t.Context().Err() != nil {
					return
				}
				putOff.Add(1)
				time.Sleep(max(s.promise(c, refused), leastDefer))
			}
			d := took()
			time.Sleep(d)
			s.release(c, d)
		})
	}
	return func() int64 { all.Wait(); return putOff.Load() }
}

// TestTroubleOfAMoment: a backlog of a target that was slow for a moment is sent soon after it, at the pace that it has then.
func TestTroubleOfAMoment(t *testing.T) {
	t.Parallel()
	const limit, backlog, trouble, slow, quick = 32, 5000, 3 * time.Second, 2 * time.Second, 20 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(DefaultMaxInFlight, leastPatience, prometheus.NewGauge(prometheus.GaugeOpts{Name: "x"}))
		begin := time.Now()
		putOff := sending(t, s, "acme", 1, backlog, limit, func() time.Duration {
			if time.Since(begin) < trouble {
				return slow
			}
			return quick
		})()
		took := time.Since(begin)
		t.Logf("%d in %v, put off %d times", backlog, took, putOff)
		if most := trouble + slow + 5*backlog/limit*quick; took > most {
			t.Errorf("%d were sent in %v, want %v at most", backlog, took, most)
		}
	})
}

// TestBacklogsComeBackBesideOneAnother: a large backlog of one tenant, put off far, keeps nothing of another's from coming back.
func TestBacklogsComeBackBesideOneAnother(t *testing.T) {
	t.Parallel()
	const limit, n, latency = 32, 2000, 100 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(DefaultMaxInFlight, leastPatience, prometheus.NewGauge(prometheus.GaugeOpts{Name: "x"}))
		stopped := make(chan struct{})
		go func() {
			for tick := time.Tick(time.Second); ; {
				select {
				case <-tick:
					s.sweep()
				case <-stopped:
					return
				}
			}
		}()
		hanging := sending(t, s, "flood", 1, 20_000, 400, func() time.Duration { return 10 * time.Second })
		time.Sleep(5 * time.Second)
		begin := time.Now()
		sending(t, s, "acme", 2, n, limit, func() time.Duration { return latency })()
		if took, alone := time.Since(begin), n/limit*latency; took > 2*alone {
			t.Errorf("%d were sent in %v beside the backlog, which take %v", n, took, alone)
		}
		hanging()
		close(stopped)
	})
}
