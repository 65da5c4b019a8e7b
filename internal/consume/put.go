package consume

import (
	"context"
	"slices"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/steady"
)

// put hands a chunk's items to the queue, and tries until it takes them or the batch is given up.
func (p *partition) put(k *chunk) {
	if len(k.items) == 0 {
		return
	}
	commit, err := p.tryPut(k.ctx, k.items)
	if err == nil {
		k.queued = append(k.queued, commit)
		p.metrics.queued.Add(float64(k.deliveries))
		return
	}
	if refused(err) {
		items := k.items
		k.items = nil
		for _, item := range items {
			p.putSingly(k, item)
		}
	}
}

// putSingly puts one item; one that is refused is made smaller until it is taken or nothing is left to do.
func (p *partition) putSingly(k *chunk, item postrider.Item) {
	commit, err := p.tryPut(k.ctx, []postrider.Item{item})
	switch {
	case err == nil:
		k.items = append(k.items, item)
		k.queued = append(k.queued, commit)
		p.metrics.queued.Add(float64(len(item.Pack.Deliveries)))
	case refused(err):
		for _, pack := range p.shrink(k, item.Pack, err) {
			p.putSingly(k, postrider.Item{Lane: item.Lane, Pack: pack})
		}
	}
}

// shrink makes packs of one that the queue refuses: halves, then one whose payload is stored, at last none.
func (p *partition) shrink(k *chunk, pack *postrider.Pack, cause error) []*postrider.Pack {
	if len(pack.Deliveries) > 1 {
		parts := halves(pack)
		return parts[:]
	}
	d := pack.Deliveries[0]
	if d.Event.Payload.Inline() && d.Event.Payload.InHand() {
		if stored, refused := p.storeOnce(k, d.Event); !refused {
			d.Event = stored
			return []*postrider.Pack{{Tenant: pack.Tenant, Deliveries: []postrider.Delivery{d}}}
		}
	}
	p.Logger.Error("the queue refuses a delivery; it ends", "event_id", d.Event.ID, "delivery_id", d.ID.String(), "target_id", d.TargetID,
		"tenant", pack.Tenant, "error", cause)
	k.giveUp(pack.Deliveries)
	return nil
}

// tryPut puts items until the queue answers: with a Commit, or a refusal for good. The error is ctx's if that ends first.
func (p *partition) tryPut(ctx context.Context, items []postrider.Item) (*postrider.Commit, error) {
	var wait steady.Backoff
	for {
		// Once ctx has ended, a payload that an item refers to may not have been stored: nothing is put then.
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		// The slice is the queue's from then on, and may be needed here once more.
		commit, err := p.Queue.Put(ctx, slices.Clone(items)...)
		if err == nil || refused(err) {
			return commit, err
		}
		p.metrics.failures.WithLabelValues("put").Inc()
		wait.After(ctx, p.Logger, "the queue does not answer", err)
	}
}

// confirmPut waits until a chunk's items are durable in the queue. It is false only if the batch is given up.
func (p *partition) confirmPut(k *chunk) bool {
	ctx := k.ctx
	var wait steady.Backoff
	for len(k.queued) > 0 {
		err := waitAll(ctx, k.queued)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		p.metrics.failures.WithLabelValues("put").Inc()
		wait.After(ctx, p.Logger, "the queue has not stored what it took", err)
		p.putAgain(k)
	}
	return ctx.Err() == nil
}

// putAgain puts what was not stored: each item alone from then on, so that what is stored is not put once more, and one that
// the queue refuses late is made smaller.
func (p *partition) putAgain(k *chunk) {
	items, commits := k.items, k.queued
	k.items, k.queued = nil, nil
	for i, item := range items {
		var err error
		if len(commits) == len(items) {
			if err = commits[i].Wait(k.ctx); err == nil {
				continue
			}
		}
		if !refused(err) {
			p.putSingly(k, item)
			continue
		}
		for _, pack := range p.shrink(k, item.Pack, err) {
			p.putSingly(k, postrider.Item{Lane: item.Lane, Pack: pack})
		}
	}
}

func waitAll(ctx context.Context, commits []*postrider.Commit) error {
	for _, c := range commits {
		if err := c.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}
