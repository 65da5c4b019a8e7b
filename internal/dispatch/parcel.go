package dispatch

import (
	"sync"
	"time"

	"github.com/postrider/postrider"
)

// parcel is a leased pack in hand.
type parcel struct {
	life  *life
	lane  postrider.Lane
	lease *postrider.Lease

	mu     sync.Mutex
	left   int                  // deliveries that are not dealt with
	back   []postrider.Delivery // were not begun
	lapsed bool                 // some of them because the lease ends too soon: the pack is put anew, since one that comes again is suspect
	follow []follow
	events map[*postrider.Event]*postrider.Event // of the pack, as what waits refers to them
}

// follow is a delivery that goes back into the queue.
type follow struct {
	lane     postrider.Lane
	delivery postrider.Delivery
	single   bool // it must not share an item
}

func newParcel(l *life, lane postrider.Lane, lease *postrider.Lease) *parcel {
	p := &parcel{life: l, lane: lane, lease: lease}
	p.left = p.size()
	return p
}

// size is how many deliveries the pack has.
func (p *parcel) size() int {
	if p.lease.Pack == nil {
		return 0
	}
	return len(p.lease.Pack.Deliveries)
}

// job is one delivery in hand.
type job struct {
	*parcel
	claim    claim
	delivery postrider.Delivery
	target   *postrider.Target
}

// outlasts reports whether the lease does an attempt that begins now.
func (j *job) outlasts(now time.Time, timeout time.Duration) bool {
	return !now.Add(timeout + leaseMargin).After(j.lease.Expires)
}

// done deals with one delivery; it reports whether it was the last.
func (p *parcel) done(f *follow) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f != nil {
		p.follow = append(p.follow, *f)
	}
	p.left--
	return p.left == 0
}

// giveBack deals with a delivery that was not begun; it reports whether it was the last.
func (p *parcel) giveBack(delivery postrider.Delivery, lapsed bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lapsed = p.lapsed || lapsed
	p.back = append(p.back, delivery)
	p.left--
	return p.left == 0
}

// unbegun reports whether all of a parcel was given back.
func (p *parcel) unbegun() bool {
	return p.lease.Pack != nil && len(p.back) > 0 && len(p.back) == len(p.lease.Pack.Deliveries)
}

// reference is an event as what waits refers to it: without a copy of its payload besides a reference.
func (p *parcel) reference(e *postrider.Event) *postrider.Event {
	if e.Payload.Inline() || e.Payload.Bytes == nil {
		return e
	}
	return p.replaced(e, func(waiting *postrider.Event) { waiting.Payload.Bytes = nil })
}

// replaced returns the one copy of an event that takes its place in this pack; change makes it when there is none.
func (p *parcel) replaced(e *postrider.Event, change func(*postrider.Event)) *postrider.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	if other := p.events[e]; other != nil {
		return other
	}
	if p.events == nil {
		p.events = make(map[*postrider.Event]*postrider.Event)
	}
	other := *e
	change(&other)
	p.events[e] = &other
	return &other
}
