package retry

import (
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/slot"
)

// move is one step: the first lease is settled with what follows, then the others, whose deliveries are in it too.
type move struct {
	leases []*postrider.Lease
	follow []postrider.Item
}

// key says which deliveries belong in one pack.
type key struct {
	tenant string
	target int64
	slot   slot.Slot
}

// load is a leased pack whose deliveries all have one key.
type load struct {
	lease *postrider.Lease
	pack  *postrider.Pack
}

// plan turns what was taken into moves.
type plan struct {
	queue  postrider.Queue
	limits postrider.QueueLimits
	now    time.Time
	loads  map[key][]load
	order  []key
	moves  []move
}

func newPlan(queue postrider.Queue, now time.Time) *plan {
	return &plan{queue: queue, limits: queue.Limits(), now: now, loads: make(map[key][]load)}
}

// make returns the moves for leases, each of which is in exactly one.
func (p *plan) make(leases []*postrider.Lease) []move {
	for _, l := range leases {
		p.add(l)
	}
	for _, k := range p.order {
		for loads := p.loads[k]; len(loads) > 0; {
			n := fill(loads)
			p.merge(loads[:n])
			loads = loads[n:]
		}
	}
	return p.moves
}

// add sorts one lease: what has one key may be merged, the rest goes apart.
func (p *plan) add(l *postrider.Lease) {
	if weight(l) == 0 {
		p.moves = append(p.moves, move{leases: []*postrider.Lease{l}})
		return
	}
	pack := p.rectify(l.Pack)
	if k, one := p.key(pack); one && l.Receives < splitAfter {
		if _, seen := p.loads[k]; !seen {
			p.order = append(p.order, k)
		}
		p.loads[k] = append(p.loads[k], load{l, pack})
		return
	}
	p.moves = append(p.moves, move{leases: []*postrider.Lease{l}, follow: p.apart(pack, l.Receives >= splitAfter)})
}

// rectify returns the pack itself if the clock makes sense of all its deliveries.
func (p *plan) rectify(pack *postrider.Pack) *postrider.Pack {
	changed := pack
	for i := range pack.Deliveries {
		d, differs := rectified(pack.Deliveries[i], p.now)
		if !differs {
			continue
		}
		if changed == pack {
			changed = &postrider.Pack{Tenant: pack.Tenant, Deliveries: append([]postrider.Delivery(nil), pack.Deliveries...)}
		}
		changed.Deliveries[i] = d
	}
	return changed
}

func (p *plan) keyOf(tenant string, d *postrider.Delivery) key {
	return key{tenant: tenant, target: d.TargetID, slot: slot.Of(d.Due, p.now)}
}

// key is that of all deliveries of a pack; false if they differ.
func (p *plan) key(pack *postrider.Pack) (key, bool) {
	first := p.keyOf(pack.Tenant, &pack.Deliveries[0])
	for i := range pack.Deliveries {
		if p.keyOf(pack.Tenant, &pack.Deliveries[i]) != first {
			return first, false
		}
	}
	return first, true
}

// apart makes items of a pack: of what goes on at one time one, of the rest one a key; or one a delivery.
func (p *plan) apart(pack *postrider.Pack, singles bool) []postrider.Item {
	parts := make(map[key]int)
	var packs []*postrider.Pack
	for i := range pack.Deliveries {
		d := &pack.Deliveries[i]
		k := p.keyOf(pack.Tenant, d)
		if _, goes := slot.Left(pack.Deliveries[i:i+1], p.now, &p.limits); goes {
			k = key{slot: k.slot} // what goes on needs no target in common: it goes as it came
		}
		at, seen := parts[k]
		if !seen || singles {
			at = len(packs)
			parts[k] = at
			packs = append(packs, &postrider.Pack{Tenant: pack.Tenant})
		}
		packs[at].Deliveries = append(packs[at].Deliveries, *d)
	}
	items := make([]postrider.Item, 0, len(packs))
	for _, part := range packs {
		if len(part.Deliveries) == len(pack.Deliveries) {
			part = pack
		}
		items = append(items, p.item(part))
	}
	return items
}

// item puts a pack, all of it of one slot, into the lane where it belongs.
func (p *plan) item(pack *postrider.Pack) postrider.Item {
	if wait, goes := slot.Left(pack.Deliveries, p.now, &p.limits); goes {
		return postrider.Item{Lane: postrider.LaneBulk, Pack: pack, Delay: wait}
	}
	lane, delay := slot.Place(pack.Deliveries, p.now, &p.limits)
	return postrider.Item{Lane: lane, Pack: pack, Delay: delay}
}

// merge makes one move of loads of one key, or more if the queue does not take so large an item.
func (p *plan) merge(loads []load) {
	item := p.item(merged(loads))
	if len(loads) > 1 && !p.queue.Fits(&item) {
		p.merge(loads[:len(loads)/2])
		p.merge(loads[len(loads)/2:])
		return
	}
	leases := make([]*postrider.Lease, len(loads))
	for i, l := range loads {
		leases[i] = l.lease
	}
	p.moves = append(p.moves, move{leases: leases, follow: []postrider.Item{item}})
}
