package dispatch

import (
	"context"
	"sync"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/slot"
	"github.com/postrider/postrider/internal/steady"
)

// gatherFor is how long deliveries that are put off are gathered, if the queue does not ask for longer: those of a backlog come
// close together.
const gatherFor = 5 * time.Millisecond

// bundler gathers parcels all of which waits now, so that the deliveries of one target make packs, whatever packs they came in:
// what waits costs by the item.
type bundler struct {
	mu      sync.Mutex
	waiting []*parcel
}

// bundles reports whether a parcel that is dealt with is one for a bundle: one delivery that was put off, or, where items cost,
// any that are to be tried again.
func (d *Dispatcher) bundles(p *parcel) bool {
	if len(p.back) > 0 || len(p.follow) == 0 || len(p.follow) > 1 && d.limits.Gather == 0 {
		return false
	}
	for i := range p.follow {
		if p.follow[i].lane != postrider.LaneRetry || p.follow[i].single {
			return false
		}
	}
	return true
}

// bundled takes a parcel that is dealt with, if it is one for a bundle.
func (d *Dispatcher) bundled(p *parcel) bool {
	if !d.bundles(p) {
		return false
	}
	if d.bundler.add(p) {
		d.jobs.Go(func() { d.bundle(p.life.rest) })
	}
	return true
}

// settleRecorded settles parcels whose outcomes are durable, of which it is told how many those are. Where items cost, those that are to
// be tried again are bundled. Deliveries stay open until the queue has answered for the first time: what it then refuses is told of, and
// must not keep the others from being sent.
func (d *Dispatcher) settleRecorded(ctx context.Context, parcels []*parcel, outcomes int) {
	var now, later []*parcel
	open := 0
	for _, p := range parcels {
		if d.limits.Gather > 0 && d.bundles(p) {
			later = append(later, p)
		} else {
			now = append(now, p)
			open += p.size()
		}
	}
	d.recorder.less(outcomes - open)
	var bundle sync.WaitGroup
	if len(later) > 0 && d.bundler.add(later...) {
		bundle.Go(func() { d.bundle(ctx) })
	}
	refused := d.settleOnce(ctx, now)
	d.recorder.less(open)
	d.settleRest(ctx, refused)
	bundle.Wait()
}

// add takes parcels. It reports whether they are the first, whose giver has to see to the bundle.
func (b *bundler) add(parcels ...*parcel) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, parcels...)
	return len(b.waiting) == len(parcels)
}

func (b *bundler) take() []*parcel {
	b.mu.Lock()
	defer b.mu.Unlock()
	parcels := b.waiting
	b.waiting = nil
	return parcels
}

// bundle waits for more, then settles all.
func (d *Dispatcher) bundle(ctx context.Context) {
	steady.Sleep(ctx, max(gatherFor, d.limits.Gather))
	var alone []*parcel
	var groups sync.WaitGroup
	for _, group := range d.grouped(d.bundler.take()) {
		if len(group) == 1 {
			alone = append(alone, group[0])
			continue
		}
		groups.Go(func() { d.settleBundle(ctx, group) })
	}
	d.settle(ctx, alone)
	groups.Wait()
}

// grouped groups parcels by tenant, target and time, or, where items cost, by tenant, since a parcel may be for several targets.
// A group is in the order of its parcels.
func (d *Dispatcher) grouped(parcels []*parcel) [][]*parcel {
	type key struct {
		tenant string
		target int64
		slot   slot.Slot
	}
	now := d.Clock()
	at := make(map[key]int, len(parcels))
	var groups [][]*parcel
	for _, p := range parcels {
		of := key{tenant: p.lease.Pack.Tenant}
		if f := &p.follow[0]; d.limits.Gather == 0 {
			of.target, of.slot = f.delivery.TargetID, slot.Of(f.delivery.Due, now)
		}
		i, seen := at[of]
		if !seen {
			i = len(groups)
			at[of] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], p)
	}
	return groups
}

// settleBundle makes what follows the parcels of a group durable in as few items as it fits in, and then settles each with
// nothing that follows. If the queue does not take them together, each is settled with its own.
func (d *Dispatcher) settleBundle(ctx context.Context, group []*parcel) {
	k := d.newPacker(group[0].lease.Pack.Tenant)
	for _, p := range group {
		for _, f := range p.follow {
			k.add(f)
		}
	}
	commit, err := d.Queue.Put(ctx, d.fitting(k.packed())...)
	if err == nil {
		err = commit.Wait(ctx)
	}
	if err == nil {
		for _, p := range group {
			p.follow = nil
		}
	}
	d.settle(ctx, group)
}
