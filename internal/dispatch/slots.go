package dispatch

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
)

// slots shares the attempts in flight among tenants and targets.
//
// A quarter of the total is a reserve: only a tenant below its fair share, the total divided by the tenants that are active,
// may take of it, since an attempt in flight cannot be taken back. So a tenant that is alone stops at three quarters.
//
// Who finds no slot may wait for one in hand for a moment, if one is likely to come free within it: that costs less than
// putting a delivery off. Places of a target are taken before the slot, in the order of asking; tenants are served in turn.
type slots struct {
	total    int
	reserve  int
	patience time.Duration
	gauge    prometheus.Gauge

	mu      sync.Mutex
	used    int // attempts in flight
	pending int // deliveries taken that have not asked for a slot
	waiting int // deliveries in hand that wait for any kind of slot
	queued  int // of them, those that wait because all slots are used
	active  int // tenants that use something, or were seen lately
	lanes   [postrider.Lanes]laneUse
	tenants map[string]*tenantUse
	targets map[int64]*targetUse
	ring    []*tenantUse // those with waiters; the next to be served is first
	crowd   int          // tenants and targets that had a backlog lately
}

// tenantUse is what a tenant uses.
type tenantUse struct {
	pace
	used    int
	pending int
	waiting int // in hand, for whatever they lack
	active  bool
	seen    time.Time
	waiters []*claim // for the tenant's turn
}

// targetUse is what a target uses.
type targetUse struct {
	pace
	limit   int
	places  int // taken: attempts in flight, and claims that wait for their tenant's turn
	seen    time.Time
	waiters []*claim
}

func newSlots(total int, patience time.Duration, gauge prometheus.Gauge) *slots {
	s := &slots{total: total, reserve: total / 4, patience: patience, gauge: gauge, tenants: make(map[string]*tenantUse), targets: make(map[int64]*targetUse)}
	for i := range s.lanes {
		s.lanes[i].kick = make(chan struct{}, 1)
	}
	return s
}

// fair is a tenant's fair share, at least 1.
func (s *slots) fair() int { return max(s.total/max(s.active, 2), 1) }

// room is how many more attempts of a tenant may start now.
func (s *slots) room(t *tenantUse) int {
	open := s.total - s.reserve - s.used
	return max(min(s.total-s.used, max(open, s.fair()-t.used)), 0)
}

func (s *slots) tenant(name string, now time.Time) *tenantUse {
	t := s.tenants[name]
	if t == nil {
		t = new(tenantUse)
		s.tenants[name] = t
	}
	t.seen = now
	if !t.active {
		t.active = true
		s.active++
	}
	return t
}

func (s *slots) target(id int64, limit int, now time.Time) *targetUse {
	t := s.targets[id]
	if t == nil {
		t = new(targetUse)
		s.targets[id] = t
	}
	t.limit, t.seen = limit, now
	return t
}

// full reports whether a tenant is at its share: packs of it are not wanted now.
func (s *slots) full(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenants[name]
	return t != nil && s.wanted(t) <= 0
}

// wanted is how many more deliveries of a tenant are worth taking: as many as may start, of which those that would have to
// wait for their target are within the tenant's part of what may wait in hand. A quarter of that is left for newcomers.
func (s *slots) wanted(t *tenantUse) int {
	return min(s.room(t), s.hand()) - t.pending - t.waiting
}

// hand is a tenant's part of what may wait in hand.
func (s *slots) hand() int { return max(s.inHand()*3/4/max(s.active, 1), s.total/probePart, 1) }

// release gives a slot back, after an attempt that took so long.
func (s *slots) release(c *claim, took time.Duration) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used--
	s.lanes[c.lane].used--
	s.gauge.Dec()
	c.tenant.used--
	c.tenant.ended(now, took)
	c.target.places--
	c.target.ended(now, took)
	s.serve(c.target)
	s.kick()
}

// grant takes the slot of a claim that has its target's place.
func (s *slots) grant(c *claim) {
	now := time.Now()
	s.used++
	s.lanes[c.lane].used++
	s.gauge.Inc()
	c.tenant.used++
	c.tenant.began(c.tenant.used, now)
	c.target.began(c.target.places, now)
}

// idle is how long a tenant counts as active, and a target's pace is known, after it was seen last.
const (
	tenantIdle = time.Second
	targetIdle = time.Minute
)

// sweep forgets who uses nothing.
func (s *slots) sweep() {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.crowd = 0
	for name, t := range s.tenants {
		if t.backlogged(now) {
			s.crowd++
		}
		if t.used+t.pending+t.waiting > 0 || now.Sub(t.seen) <= tenantIdle {
			continue
		}
		if t.active {
			t.active = false
			s.active--
		}
		if !t.next.After(now) {
			delete(s.tenants, name)
		}
	}
	for id, t := range s.targets {
		if t.backlogged(now) {
			s.crowd++
		}
		if t.places+len(t.waiters) == 0 && now.Sub(t.seen) > targetIdle && !t.next.After(now) {
			delete(s.targets, id)
		}
	}
	s.serveTenants() // shares may have grown
	s.kick()
}
