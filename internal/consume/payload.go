package consume

import (
	"context"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/match"
	"github.com/postrider/postrider/internal/steady"
)

// refer chooses how the queue refers to an event's payload: by its position where the log reads cheaply, else inline up to
// the limit, else by a key under which it is stored here. It reports true if the payload cannot be stored at all.
func (p *partition) refer(ctx context.Context, e *postrider.Event, refs []match.Ref) (*postrider.Event, bool) {
	if p.mustStore(e, refs) {
		return p.store(ctx, e)
	}
	e.Payload.Log = e.Payload.Log || p.cheap && e.Payload.Key == "" && wanted(refs)
	return e, false
}

func (p *partition) mustStore(e *postrider.Event, refs []match.Ref) bool {
	switch {
	case e.Payload.Log || e.Payload.Key != "" || p.cheap || !wanted(refs):
		return false
	case e.Payload.Size <= p.InlineLimit && p.fitsInline(e):
		return false
	}
	return true
}

// wanted reports whether some target is on.
func wanted(refs []match.Ref) bool {
	for _, r := range refs {
		if !r.Off {
			return true
		}
	}
	return false
}

// fitsInline reports whether the queue takes a single delivery of an event with its payload.
func (p *partition) fitsInline(e *postrider.Event) bool {
	d := postrider.Delivery{Event: e, Version: 1 << 32, TargetID: postrider.MaxEntityID, Start: e.AcceptedAt}
	return p.fits(&postrider.Item{Lane: postrider.LaneFirst, Pack: &postrider.Pack{Tenant: e.Tenant, Deliveries: []postrider.Delivery{d}}})
}

// What an event and a delivery take at most, but for the payload.
const (
	eventOverhead    = 2 << 10
	deliveryOverhead = 64
)

// fits is Queue.Fits, which encodes the item to find out, for items that are not small beyond doubt: of half the size that
// the queue takes, which leaves room for an encoding as text.
func (p *partition) fits(item *postrider.Item) bool {
	size := int64(deliveryOverhead * len(item.Pack.Deliveries))
	var previous *postrider.Event
	for i := range item.Pack.Deliveries {
		e := item.Pack.Deliveries[i].Event
		if e == previous {
			continue
		}
		previous = e
		size += eventOverhead
		if e.Payload.Inline() {
			size += e.Payload.Size
		}
	}
	return size <= int64(p.Queue.Limits().MaxBytes/2) || p.Queue.Fits(item)
}

// store puts an event's payload into the payload store and returns a copy of the event that refers to it. The event itself
// may have been handed on and stays as it is. It reports true if the store refuses the payload for good.
func (p *partition) store(ctx context.Context, e *postrider.Event) (*postrider.Event, bool) {
	key := postrider.PayloadKey(e)
	var wait steady.Backoff
	for ctx.Err() == nil {
		err := p.Payloads.Put(ctx, key, e.Payload.Bytes)
		if err == nil {
			break
		}
		if refused(err) {
			p.Logger.Error("the payload store refuses a payload; its deliveries end", "event_id", e.ID, "tenant", e.Tenant, "error", err)
			return e, true
		}
		p.metrics.failures.WithLabelValues("store").Inc()
		wait.After(ctx, p.Logger, "the payload store does not answer", err)
	}
	stored := *e
	stored.Payload.Key = key
	return &stored, false
}

// storeOnce is store, for an event whose deliveries turn out to be too large one by one.
func (p *partition) storeOnce(k *chunk, e *postrider.Event) (*postrider.Event, bool) {
	if stored := k.stored[e]; stored != nil {
		return stored, false
	}
	stored, refused := p.store(k.ctx, e)
	if !refused && k.ctx.Err() == nil {
		if k.stored == nil {
			k.stored = make(map[*postrider.Event]*postrider.Event)
		}
		k.stored[e] = stored
	}
	return stored, refused
}

// refused reports whether an engine will never take a thing, however often it is asked.
func refused(err error) bool {
	code := postrider.CodeOf(err)
	return code == postrider.CodeTooLarge || code == postrider.CodeInvalid
}
