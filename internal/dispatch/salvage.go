package dispatch

import (
	"context"

	"github.com/postrider/postrider"
)

// refused reports whether an engine will never take a thing, however often it is asked.
func refused(err error) bool {
	code := postrider.CodeOf(err)
	return code == postrider.CodeTooLarge || code == postrider.CodeInvalid
}

// salvage puts what follows a parcel one by one, since the queue refuses it together for good. What is refused alone too, even
// with its payload stored, ends. It reports whether all of it is durable: then nothing follows the parcel any more.
func (d *Dispatcher) salvage(ctx context.Context, p *parcel) bool {
	for _, delivery := range p.back {
		p.follow = append(p.follow, follow{lane: p.lane, delivery: delivery})
	}
	p.back = nil
	for len(p.follow) > 0 {
		f := p.follow[0]
		f.single = true
		if !d.salvageOne(ctx, p, f) {
			return false
		}
		p.follow = p.follow[1:]
	}
	return true
}

func (d *Dispatcher) salvageOne(ctx context.Context, p *parcel, f follow) bool {
	j := &job{parcel: p, delivery: f.delivery}
	err := d.putOne(ctx, p, f)
	if refused(err) && f.delivery.Event.Payload.Inline() && f.delivery.Event.Payload.InHand() {
		f.delivery.Event = d.kept(j, f.delivery.Event) //nolint:contextcheck // the parcel has the context of what outlasts attempts
		err = d.putOne(ctx, p, f)
	}
	if !refused(err) {
		return err == nil
	}
	d.Logger.Error("the queue refuses a delivery; it ends", "event_id", f.delivery.Event.ID, "delivery_id", f.delivery.ID.String(),
		"target_id", f.delivery.TargetID, "tenant", p.lease.Pack.Tenant, "error", err)
	r := d.final(j, postrider.StateExhausted, postrider.ReasonInternal)
	return d.recorder.durable(ctx, []postrider.Outcome{*r.outcome})
}

func (d *Dispatcher) putOne(ctx context.Context, p *parcel, f follow) error {
	k := d.newPacker(p.lease.Pack.Tenant)
	k.add(f)
	commit, err := d.Queue.Put(ctx, k.packed()...)
	if err != nil {
		return err
	}
	return commit.Wait(ctx)
}
