package sqlite

import (
	"math"
	"slices"
)

const (
	// A turn is so many events, while others have some too.
	turnEvents = 64
	// Who has no more than so many shares a batch with others.
	fewEvents = 16
	// A tenant may have in hand so many times what that leaves of the room (dynamic thresholds: Choudhury and Hahne, 1998).
	dominance = 3
)

// undone is which events the group has not dealt with: those that are unread, and those in hand. Tenants take turns, so that what one
// publishes faster than it is dealt with holds up nobody else's; within a round whose oldest event is the oldest comes first, and one
// tenant's events stay in order.
type undone struct {
	tenants map[string]*backlog // that have something undone
	round   []*backlog          // whose turn comes in this round, by their oldest event
	later   []*backlog          // those that have had it and have more, and those that came since the round began
	turn    *backlog            // whose turn it is; nil: nobody's
	left    int                 // events of the turn
	unread  int
	end     int64 // what is before is known: unread, in hand, or done
	reached int64 // after the last event that is done
}

// backlog is what is undone of a tenant.
type backlog struct {
	tenant string
	unread []run
	events int     // of unread
	queued bool    // it waits for its turn, or has it
	inHand []share // of batches
	held   int     // events of those
}

// share is what a batch has of a tenant.
type share struct {
	of     *handed
	first  int64
	events int
}

// run is consecutive events of a tenant.
type run struct{ first, after int64 }

func (r run) len() int { return int(r.after - r.first) }

func newUndone(end int64) undone {
	return undone{tenants: make(map[string]*backlog), end: end, reached: end}
}

// least is the tenant's first event that is undone.
func (b *backlog) least() int64 {
	if len(b.inHand) > 0 {
		return b.inHand[0].first
	}
	return b.unread[0].first
}

// add notes the next event of a tenant, which is later than all that is known.
func (u *undone) add(tenant string, at int64) {
	b := u.tenants[tenant]
	if b == nil {
		b = &backlog{tenant: tenant}
		u.tenants[tenant] = b
	}
	u.unread++
	b.events++
	u.end = at + 1
	if n := len(b.unread); n > 0 && b.unread[n-1].after == at {
		b.unread[n-1].after++
		return
	}
	b.unread = append(b.unread, run{at, at + 1})
	u.enqueue(b)
}

func (u *undone) enqueue(b *backlog) {
	if !b.queued {
		b.queued = true
		u.later = append(u.later, b)
	}
}

// take takes consecutive events of whose turn it is for a batch, within the room that there is for events in hand. It takes none if nobody
// may have more of it, or only those who don't share it.
func (u *undone) take(h *handed, room int) (b *backlog, its run) {
	switch {
	case u.turn != nil:
		h.alone = h.alone || h.events == 0 // what is left of a turn
	case !u.next(h, room):
		return nil, run{}
	}
	b = u.turn
	its = run{b.unread[0].first, min(b.unread[0].after, b.unread[0].first+int64(u.left))}
	if b.unread[0].first = its.after; b.unread[0].len() == 0 {
		b.unread = b.unread[1:]
	}
	u.unread -= its.len()
	b.events -= its.len()
	h.add(b, its)
	if u.left -= its.len(); u.left == 0 || len(b.unread) == 0 {
		u.pass()
	}
	return b, its
}

// next begins the next turn; false if there is none for the batch.
func (u *undone) next(h *handed, room int) bool {
	for range len(u.round) + len(u.later) + 1 {
		if len(u.round) == 0 {
			u.round, u.later = u.later, nil
			slices.SortFunc(u.round, func(a, b *backlog) int { return int(a.unread[0].first - b.unread[0].first) })
		}
		if len(u.round) == 0 || h.events > 0 && (h.alone || u.round[0].events > fewEvents) {
			return false
		}
		b := u.round[0]
		u.round = u.round[1:]
		u.turn, u.left = b, min(b.events, b.allowed(room), batchEvents-h.events)
		if len(u.round)+len(u.later) > 0 {
			u.left = min(u.left, turnEvents)
		}
		if u.left > 0 {
			h.alone = b.events > fewEvents
			return true
		}
		u.pass()
	}
	return false
}

// allowed is how many events more a tenant may have in hand.
func (b *backlog) allowed(room int) int {
	if b.held >= dominance*room {
		return 0
	}
	return max((dominance*room-b.held)/(dominance+1), 1)
}

// pass ends the turn.
func (u *undone) pass() {
	b := u.turn
	u.turn = nil
	if b.queued = len(b.unread) > 0; b.queued {
		u.later = append(u.later, b)
	}
}

// putBack takes out of a batch what was taken of a tenant last, and makes it unread again.
func (u *undone) putBack(h *handed, b *backlog, its run) {
	u.unread += its.len()
	b.events += its.len()
	b.unread = append([]run{its}, b.unread...)
	h.remove(b, its)
	u.enqueue(b)
}

// oldest is the first event that is unread.
func (u *undone) oldest() int64 {
	least := int64(math.MaxInt64)
	for _, list := range [][]*backlog{u.round, u.later, {u.turn}} {
		for _, b := range list {
			if b != nil {
				least = min(least, b.unread[0].first)
			}
		}
	}
	return least
}

// handed is a batch that was handed out and is not done.
type handed struct {
	end     int64 // the last of its events
	events  int
	alone   bool       // it is one tenant's
	tenants []*backlog // that have some in it
}

// add adds to a batch what was taken.
func (h *handed) add(b *backlog, its run) {
	h.events += its.len()
	b.held += its.len()
	if n := len(b.inHand); n > 0 && b.inHand[n-1].of == h {
		b.inHand[n-1].events += its.len()
		return
	}
	b.inHand = append(b.inHand, share{h, its.first, its.len()})
	h.tenants = append(h.tenants, b)
}

// remove takes out of a batch what was added of a tenant last.
func (h *handed) remove(b *backlog, its run) {
	h.events -= its.len()
	b.held -= its.len()
	last := &b.inHand[len(b.inHand)-1]
	if last.events -= its.len(); last.events == 0 {
		b.inHand = b.inHand[:len(b.inHand)-1]
		h.tenants = slices.DeleteFunc(h.tenants, func(of *backlog) bool { return of == b })
	}
}

// done notes that a batch is dealt with.
func (u *undone) done(h *handed) {
	for _, b := range h.tenants {
		i := slices.IndexFunc(b.inHand, func(s share) bool { return s.of == h })
		b.held -= b.inHand[i].events
		b.inHand = slices.Delete(b.inHand, i, i+1)
		if len(b.inHand)+len(b.unread) == 0 {
			delete(u.tenants, b.tenant)
		}
	}
	u.reached = max(u.reached, h.end+1)
}

// fannedOut is the position before which all events of a tenant are done.
func (u *undone) fannedOut(tenant string) int64 {
	if b := u.tenants[tenant]; b != nil {
		return min(b.least(), u.reached)
	}
	return u.reached
}
