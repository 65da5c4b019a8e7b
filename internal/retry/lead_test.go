package retry_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/retry"
	"github.com/postrider/postrider/internal/slot"
)

// handedOn are the settles that put something into the bulk lane, by what was put.
func handedOn(q *memory) map[postrider.DeliveryID]settled {
	all := make(map[postrider.DeliveryID]settled)
	for _, s := range q.settles() {
		for _, item := range s.follow {
			for i := range item.Pack.Deliveries {
				if item.Lane == postrider.LaneBulk {
					all[item.Pack.Deliveries[i].ID] = settled{lease: s.lease, follow: []postrider.Item{item}, at: s.at}
				}
			}
		}
	}
	return all
}

// TestLead: on a queue with a lead a retry is handed on before it is due, by about so much, with the delay that is left: whatever the
// manager takes for that, nothing is to be had before its time, nor late. A manager whose clock is a little behind does not put it back.
func TestLead(t *testing.T) {
	t.Parallel()
	const lead = 5 * time.Second
	for name, behind := range map[string]time.Duration{"clocks agree": 0, "the clock is behind": 900 * time.Millisecond, "the clock is ahead": -time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := newMemory()
				q.lead = lead
				limits, begin := q.Limits(), time.Now()
				due := begin.Add(10 * time.Minute)
				for i := range 50 {
					p := pack(delivery(event("acme", i), 7, due))
					put(t, q, slot.Delay(p.Deliveries, begin, &limits), p)
				}
				soon := pack(delivery(event("acme", 50), 7, begin.Add(2*time.Second)))
				put(t, q, slot.Delay(soon.Deliveries, begin, &limits), soon)
				stop := run(t, retry.Options{Queue: q, Clock: func() time.Time { return time.Now().Add(-behind) }})
				time.Sleep(10*time.Minute - lead + time.Second)
				stop()
				went := handedOn(q)
				if len(went) != 51 || len(q.packs(postrider.LaneBulk)) != 2 {
					t.Fatalf("%d handed on in %d packs, %v before they are due", len(went), len(q.packs(postrider.LaneBulk)), lead)
				}
				for _, s := range went {
					d, left := s.follow[0].Pack.Deliveries[0], s.follow[0].Delay
					if late := s.at.Add(left).Sub(d.Due) - behind; late < 0 || late > 100*time.Millisecond {
						t.Errorf("to be had %v late, after a delay of %v", late, left)
					}
				}
				if n := len(q.settles()); n != 51 {
					t.Errorf("%d settles of 51 items: some went round", n)
				}
				assertSafe(t, q)
			})
		})
	}
}

// TestLeadOfAMixedPack: what is due soon goes on, each second of it with its own delay, whatever its targets; the rest waits.
func TestLeadOfAMixedPack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newMemory()
		q.lead = 5 * time.Second
		now, e := time.Now(), event("acme", 1)
		put(t, q, 0, pack(delivery(e, 1, now), delivery(e, 2, now.Add(-time.Hour)), delivery(e, 3, now.Add(4*time.Second)),
			delivery(e, 4, now.Add(4*time.Second)), delivery(e, 5, now.Add(time.Minute))))
		stop := run(t, retry.Options{Queue: q})
		time.Sleep(time.Second)
		stop()
		if bulk := q.packs(postrider.LaneBulk); len(bulk) != 2 || len(ids(bulk)) != 4 || len(q.packs(postrider.LaneRetry)) != 1 {
			t.Errorf("%d packs of %d handed on, %d wait", len(bulk), len(ids(bulk)), len(q.packs(postrider.LaneRetry)))
		}
		for _, s := range handedOn(q) {
			item := s.follow[0]
			if item.Delay != max(item.Pack.Deliveries[0].Due.Sub(now), 0) {
				t.Errorf("%d go on with a delay of %v", len(item.Pack.Deliveries), item.Delay)
			}
		}
		assertSafe(t, q)
	})
}
