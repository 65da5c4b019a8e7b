package dispatch

import (
	"context"
	"time"

	"github.com/postrider/postrider"
)

const (
	idleTake  = 50 * time.Millisecond // a take that waits longer shows that its lane has nothing
	probeGap  = 50 * time.Millisecond // between probes that bring only what may not start
	probePart = 32                    // of the slots, taken by the first probe; each one in vain doubles it, up to the free slots
	mostVain  = 5
)

// laneUse is what a lane uses of the slots.
type laneUse struct {
	used    int
	pending int
	since   time.Time     // of the take that waits; zero: none does
	kick    chan struct{} // holds a value after something changed
	vain    int           // takes in a row that brought only what may not start
}

// kick has the takers look again.
func (s *slots) kick() {
	for _, lane := range [...]postrider.Lane{postrider.LaneFirst, postrider.LaneBulk} {
		select {
		case s.lanes[lane].kick <- struct{}{}:
		default:
		}
	}
}

// idle reports whether a lane has nothing to be taken, or nothing that may start.
func (s *slots) idle(lane postrider.Lane, now time.Time) bool {
	use := &s.lanes[lane]
	return use.vain > 0 || !use.since.IsZero() && now.Sub(use.since) >= idleTake
}

// credit is how many deliveries a lane may take now. It is a probe if nobody known may start any, or the last take brought
// nothing that may start: something of others may wait behind. What a probe brings in vain is put off to slots of its own
// and does not come back before, so that probes get through a backlog and do not circle in it.
func (s *slots) credit(lane postrider.Lane, now time.Time) (n int, probe bool) {
	free := min(s.total-s.used-s.queued, s.inHand()-s.waiting) - s.pending
	bulk := &s.lanes[postrider.LaneBulk]
	share := max(s.total/4, 1) - bulk.used - bulk.pending
	switch {
	case lane == postrider.LaneBulk && !s.idle(postrider.LaneFirst, now):
		free = min(free, share)
	case lane == postrider.LaneFirst && !s.idle(postrider.LaneBulk, now):
		free -= max(min(share, s.total-1), 0)
	}
	if free <= 0 {
		return 0, false
	}
	vain := s.lanes[lane].vain
	least := min(free, max(s.total/probePart, 1)<<vain)
	room, known := s.startable(free)
	switch {
	case vain > 0:
		return least, true
	case !known:
		return free, false
	case room > 0:
		return room, false
	}
	return least, true
}

// startable is how many attempts the tenants seen lately may start, at most enough; false if none was seen. A take brings
// packs of any of them, so the one with the least room that has some sets the bound: what more came might be all its own.
func (s *slots) startable(enough int) (int, bool) {
	least, looked := 0, 0
	for _, t := range s.tenants {
		if !t.active {
			continue
		}
		if looked++; looked > s.total {
			break
		}
		if room := s.wanted(t); room > 0 && (least == 0 || room < least) {
			least = room
		}
	}
	if least > 0 {
		least = max(least, s.total/probePart) // a few too many wait in hand: takes of one or two would cost more
	}
	return min(least, enough), looked > 0
}

// await waits until a lane may take, and returns its credit; 0 if ctx ended.
func (s *slots) await(ctx context.Context, lane postrider.Lane) int {
	probed := time.Now()
	for ctx.Err() == nil {
		now := time.Now()
		s.mu.Lock()
		n, probe := s.credit(lane, now)
		use := &s.lanes[lane]
		wait := idleTake
		if n > 0 && probe {
			wait = 0
			if use.vain > 0 {
				wait = probeGap - now.Sub(probed)
			}
		}
		if n > 0 && (!probe || wait <= 0) {
			use.since = now
			s.mu.Unlock()
			return n
		}
		s.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-use.kick:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return 0
}

// took counts what a take of a lane brought, as pending. If all of it is of tenants that may start nothing, the queue
// ignores the hint, and the next probe comes later.
func (s *slots) took(lane postrider.Lane, leases []*postrider.Lease) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	use := &s.lanes[lane]
	use.since = time.Time{}
	vain := len(leases) > 0
	for _, l := range leases {
		if l.Pack == nil || len(l.Pack.Deliveries) == 0 {
			continue
		}
		n := len(l.Pack.Deliveries)
		t := s.tenant(l.Pack.Tenant, now)
		vain = vain && s.wanted(t) <= 0
		t.pending += n
		use.pending += n
		s.pending += n
	}
	if vain {
		use.vain = min(use.vain+1, mostVain)
	} else {
		use.vain = 0
	}
}

// asked ends a claim's time as pending.
func (s *slots) asked(c *claim, now time.Time) {
	c.tenant = s.tenant(c.tenantName, now)
	if !c.pending {
		return
	}
	c.pending = false
	c.tenant.pending--
	s.lanes[c.lane].pending--
	s.pending--
}

// unclaimed ends the time as pending of a claim that will not ask, or not soon.
func (s *slots) unclaimed(c *claim) {
	if !c.pending { // only its own goroutine changes it
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked(c, time.Now())
	s.kick()
}
