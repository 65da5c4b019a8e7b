package dispatch

import (
	"context"
	"sync"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/steady"
)

// gatherFor is how long deliveries that are put off are gathered: those of a backlog come close together.
const gatherFor = 5 * time.Millisecond

// bundler gathers parcels all of which is one delivery that was put off, so that those of one target make packs, whatever
// packs they came in: what waits costs by the item.
type bundler struct {
	mu      sync.Mutex
	waiting []*parcel
}

// bundled takes a parcel that is dealt with, if it is one for a bundle.
func (d *Dispatcher) bundled(p *parcel) bool {
	if len(p.follow) != 1 || len(p.back) > 0 || p.follow[0].lane != postrider.LaneRetry {
		return false
	}
	b := &d.bundler
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, p)
	if len(b.waiting) == 1 {
		d.jobs.Go(func() { d.bundle(p.life.rest) })
	}
	return true
}

// bundle waits for more, then settles all.
func (d *Dispatcher) bundle(ctx context.Context) {
	steady.Sleep(ctx, gatherFor)
	b := &d.bundler
	b.mu.Lock()
	parcels := b.waiting
	b.waiting = nil
	b.mu.Unlock()
	var alone []*parcel
	for _, group := range d.byTarget(parcels) {
		if len(group) == 1 {
			alone = append(alone, group[0])
			continue
		}
		d.jobs.Go(func() { d.settleBundle(ctx, group) })
	}
	d.settle(ctx, alone)
}

// byTarget groups parcels by tenant, target and second. A group is in the order of its parcels.
func (d *Dispatcher) byTarget(parcels []*parcel) [][]*parcel {
	type key struct {
		tenant string
		bucket
	}
	k := d.newPacker("")
	at := make(map[key]int, len(parcels))
	var groups [][]*parcel
	for _, p := range parcels {
		of := key{p.lease.Pack.Tenant, k.bucketOf(&p.follow[0])}
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
		k.add(p.follow[0])
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
