package dispatch

import (
	"context"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/steady"
)

// lapsedDelay is the pause before a pack comes again whose lease was too short for it.
const lapsedDelay = time.Second

// settle ends the leases of parcels that are dealt with, each together with all that follows.
func (d *Dispatcher) settle(ctx context.Context, parcels []*parcel) {
	d.settleRest(ctx, d.settleOnce(ctx, parcels))
}

// refusal is a parcel that the queue did not settle.
type refusal struct {
	parcel *parcel
	err    error
}

// settleOnce settles parcels without waiting in between, so that the queue can commit them together, waits for them, and returns those
// that were refused.
func (d *Dispatcher) settleOnce(ctx context.Context, parcels []*parcel) (refused []refusal) {
	type landing struct {
		commit *postrider.Commit
		err    error
	}
	landings := make([]landing, len(parcels))
	for i, p := range parcels {
		landings[i].commit, landings[i].err = d.settleOne(ctx, p)
	}
	for i, l := range landings {
		err := l.err
		if err == nil {
			err = l.commit.Wait(ctx)
		}
		if err != nil {
			refused = append(refused, refusal{parcels[i], err})
		}
	}
	return refused
}

func (d *Dispatcher) settleRest(ctx context.Context, refused []refusal) {
	for _, r := range refused {
		d.settleAgain(ctx, r.parcel, r.err)
	}
}

func (d *Dispatcher) settleOne(ctx context.Context, p *parcel) (*postrider.Commit, error) {
	switch {
	case p.unbegun() && !d.Clock().Before(p.lease.Expires):
		return postrider.Committed(), nil // the pack is another's, or comes again by itself
	case p.unbegun() && !p.lapsed && p.lease.Receives < splitAfter: // one that came often is put anew, lest it be taken for what kills dispatchers
		return postrider.Committed(), d.Queue.Return(ctx, p.lease, 0)
	}
	return d.Queue.Settle(ctx, p.lease, d.items(p)...)
}

// settleAgain tries until the lease has ended: then the pack comes again anyway.
func (d *Dispatcher) settleAgain(ctx context.Context, p *parcel, err error) {
	var pause steady.Backoff
	for ctx.Err() == nil && d.Clock().Before(p.lease.Expires) {
		d.metrics.failures.WithLabelValues("settle").Inc()
		pause.After(ctx, d.Logger, "settle of a lease", err)
		if refused(err) && !d.salvage(ctx, p) {
			continue
		}
		var commit *postrider.Commit
		if commit, err = d.settleOne(ctx, p); err == nil {
			err = commit.Wait(ctx)
		}
		if err == nil {
			return
		}
	}
	d.Logger.Error("a lease was not settled; its deliveries come again", "deliveries", max(len(p.back)+len(p.follow), 1), "error", err)
}

// items makes items of what follows a parcel.
func (d *Dispatcher) items(p *parcel) []postrider.Item {
	if len(p.follow)+len(p.back) == 0 {
		return nil
	}
	k := d.newPacker(p.lease.Pack.Tenant)
	for _, f := range p.follow {
		k.add(f)
	}
	items := k.packed()
	if len(p.back) > 0 {
		item := postrider.Item{Lane: p.lane, Pack: &postrider.Pack{Tenant: p.lease.Pack.Tenant, Deliveries: p.back}}
		if p.lapsed {
			item.Delay = lapsedDelay
		}
		items = append(items, item)
	}
	return d.fitting(items)
}

// fitting halves items of several deliveries until the queue takes them.
func (d *Dispatcher) fitting(items []postrider.Item) []postrider.Item {
	var fit []postrider.Item
	for _, item := range items {
		n := len(item.Pack.Deliveries) / 2
		if n == 0 || d.Queue.Fits(&item) {
			fit = append(fit, item)
			continue
		}
		one, two := item, item
		one.Pack = &postrider.Pack{Tenant: item.Pack.Tenant, Deliveries: item.Pack.Deliveries[:n:n]}
		two.Pack = &postrider.Pack{Tenant: item.Pack.Tenant, Deliveries: item.Pack.Deliveries[n:]}
		fit = append(fit, d.fitting([]postrider.Item{one, two})...)
	}
	return fit
}
