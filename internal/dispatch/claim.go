package dispatch

import (
	"context"
	"slices"
	"time"

	"github.com/postrider/postrider"
)

// leastPatience is how long a delivery waits in hand for a place of its target or the share of its tenant. Where the queue's delays
// are coarse it is longer by their step: what is put off comes back in bursts then, and a target must not be left idle between two.
const leastPatience = 250 * time.Millisecond

// claim is a delivery that asks for a slot.
type claim struct {
	lane       postrider.Lane
	tenantName string
	targetID   int64
	limit      int           // of the target
	longest    time.Duration // to wait while all slots are used

	tenant  *tenantUse
	target  *targetUse
	placed  bool // it has a place of its target
	total   bool // it waits because all slots are used
	granted chan struct{}
	pending bool // it counts as pending
}

// why says what a claim lacks.
type why string

const (
	whyNot     why = "" // it was granted
	whyTarget  why = "target"
	whyTenant  why = "tenant"
	whyTotal   why = "total"
	whyStopped why = "stopped"
)

// acquire takes a slot, if need be after a wait, or says what there is none of. It ends the claim's time as pending. stop
// ends the wait.
func (s *slots) acquire(stop context.Context, c *claim) why {
	wait, refused := s.ask(c)
	if refused != whyNot || wait == 0 {
		return refused
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	refused = whyStopped
	select {
	case <-c.granted:
		return whyNot
	case <-timer.C:
		refused = whyTarget
	case <-stop.Done():
	}
	return s.leave(c, refused)
}

// ask grants at once (no wait, whyNot), refuses, or makes the claim wait.
func (s *slots) ask(c *claim) (wait time.Duration, refused why) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if refused = s.consider(c, time.Now()); refused != whyNot {
		s.kick()
		return 0, refused
	}
	if c.target.full() {
		s.enter(c)
		c.target.waiters = append(c.target.waiters, c)
		return s.patience, whyNot
	}
	lacks := s.lacks(c.tenant)
	if lacks == whyNot && len(c.tenant.waiters) == 0 {
		c.target.places++
		c.placed = true
		s.grant(c)
		return 0, whyNot
	}
	wait = s.patience
	if c.total = lacks == whyTotal; c.total {
		wait = c.longest
	}
	s.enter(c)
	s.place(c)
	return wait, whyNot
}

// refuses says what a claim would be refused for now, so that nothing is prepared for it in vain. It ends the claim's time as pending:
// what is prepared takes time, which credit must not wait for.
func (s *slots) refuses(c *claim) why {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.kick()
	return s.consider(c, time.Now())
}

// consider says what a claim lacks that is not worth waiting for.
func (s *slots) consider(c *claim, now time.Time) why {
	s.asked(c, now)
	c.target = s.target(c.targetID, c.limit, now)
	if c.target.full() {
		if !s.worthwhile(c.tenant, &c.target.pace, len(c.target.waiters), c.target.limit, now) || s.crowds(c.tenant, c.target, now) {
			return whyTarget
		}
		return whyNot
	}
	lacks := s.lacks(c.tenant)
	if lacks == whyNot && len(c.tenant.waiters) == 0 {
		return whyNot
	}
	if s.waiting >= s.inHand() || lacks != whyTotal && !s.worthwhile(c.tenant, &c.tenant.pace, len(c.tenant.waiters), max(c.tenant.used, 1), now) {
		return lacks.or(whyTenant)
	}
	return whyNot
}

// full reports whether whoever asks for a place has to wait.
func (t *targetUse) full() bool { return t.places >= t.limit || len(t.waiters) > 0 }

func (w why) or(other why) why {
	if w == whyNot {
		return other
	}
	return w
}

// inHand is how many may wait in hand.
func (s *slots) inHand() int { return max(s.total, postrider.MaxPackTargets) }

// worthwhile reports whether the slot after n others is likely to come free within patience, and the tenant has room to wait.
func (s *slots) worthwhile(t *tenantUse, p *pace, n, of int, now time.Time) bool {
	return s.waiting < s.inHand() && t.waiting < s.hand() && time.Duration(n+1)*p.interval(of, now) <= s.patience
}

// dominance is how many times what it leaves free of its tenant's part of the hand a target may take of it.
const dominance = 7

// crowds reports whether a target at its limit has so many in hand that its tenant's other targets would find no room: a tenant
// without room gets nothing taken. The bound is that of dynamic thresholds in shared buffers (Choudhury and Hahne, 1998): however
// many targets are at their limits, some of the hand stays free. What waits for a moment only makes room by itself.
func (s *slots) crowds(t *tenantUse, of *targetUse, now time.Time) bool {
	n := len(of.waiters)
	return time.Duration(n+1)*of.interval(of.limit, now) > leastPatience && n >= dominance*(min(s.room(t), s.hand())-t.waiting)
}

// lacks says what hinders a tenant from starting one attempt more.
func (s *slots) lacks(t *tenantUse) why {
	switch {
	case s.used >= s.total:
		return whyTotal
	case s.room(t) <= 0:
		return whyTenant
	}
	return whyNot
}

func (s *slots) enter(c *claim) {
	c.granted = make(chan struct{})
	s.waiting++
	c.tenant.waiting++
	if c.total {
		s.queued++
	}
}

// place takes the target's place for a claim and puts it in its tenant's row.
func (s *slots) place(c *claim) {
	c.target.places++
	c.placed = true
	if len(c.tenant.waiters) == 0 {
		s.ring = append(s.ring, c.tenant)
	}
	c.tenant.waiters = append(c.tenant.waiters, c)
}

// serve gives what came free: the places of a target to those that wait for them, then slots to tenants in turn.
func (s *slots) serve(t *targetUse) {
	for len(t.waiters) > 0 && t.places < t.limit {
		c := t.waiters[0]
		t.waiters = t.waiters[1:]
		s.place(c)
	}
	s.serveTenants()
}

// serveTenants gives free slots to the tenants that wait, in turn.
func (s *slots) serveTenants() {
	for i := 0; i < len(s.ring) && s.used < s.total; {
		tenant := s.ring[i]
		if s.lacks(tenant) != whyNot {
			i++
			continue
		}
		c := tenant.waiters[0]
		tenant.waiters = tenant.waiters[1:]
		s.ring = slices.Delete(s.ring, i, i+1)
		if len(tenant.waiters) > 0 {
			s.ring = append(s.ring, tenant)
		}
		s.exit(c)
		s.grant(c)
		close(c.granted)
		i = 0
	}
}

func (s *slots) exit(c *claim) {
	s.waiting--
	c.tenant.waiting--
	if c.total {
		s.queued--
	}
}

// leave takes a claim out whose patience ended, unless it was granted meanwhile.
func (s *slots) leave(c *claim, refused why) why {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-c.granted:
		return whyNot
	default:
	}
	s.exit(c)
	if !c.placed {
		c.target.waiters = remove(c.target.waiters, c)
		s.kick()
		return refused
	}
	c.target.places--
	c.tenant.waiters = remove(c.tenant.waiters, c)
	if len(c.tenant.waiters) == 0 {
		if i := slices.Index(s.ring, c.tenant); i >= 0 {
			s.ring = slices.Delete(s.ring, i, i+1)
		}
	}
	if refused != whyStopped {
		refused = s.lacks(c.tenant).or(whyTenant)
	}
	s.serve(c.target)
	s.kick()
	return refused
}

func remove(claims []*claim, c *claim) []*claim {
	if i := slices.Index(claims, c); i >= 0 {
		return slices.Delete(claims, i, i+1)
	}
	return claims
}

// promise reserves the next slot of a target or a tenant for a claim that was refused, and returns after what time to come back.
func (s *slots) promise(c *claim, refused why) time.Duration {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	p, n := &c.tenant.pace, max(c.tenant.used, s.fair())
	if refused == whyTarget {
		p, n = &c.target.pace, c.target.limit
	}
	return p.promise(n, now, s.crowd).Sub(now)
}
