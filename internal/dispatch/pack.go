package dispatch

import (
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/slot"
)

// bucket is what goes into one item together: deliveries of one target that are due at about the same time.
type bucket struct {
	lane   postrider.Lane
	target int64
	slot   slot.Slot
}

// packer makes items of what follows, one a bucket, or more where a pack would be too large.
type packer struct {
	tenant string
	now    time.Time
	limits *postrider.QueueLimits
	items  []postrider.Item
	open   map[bucket]*openItem
}

// openItem is the last item of a bucket.
type openItem struct {
	at     int // among the items
	inline int // events whose payloads are inline
	last   *postrider.Event
}

func (d *Dispatcher) newPacker(tenant string) *packer {
	return &packer{tenant: tenant, now: d.Clock(), limits: &d.limits, open: make(map[bucket]*openItem)}
}

// bucketOf tells where a delivery belongs.
func (k *packer) bucketOf(f *follow) bucket {
	b := bucket{lane: f.lane, target: f.delivery.TargetID}
	switch due := f.delivery.Due; {
	case due.IsZero():
	case f.lane == postrider.LaneRetry:
		b.slot = slot.Of(due, k.now)
	default: // it will not be looked at before it is sent
		b.slot = slot.Fine(due, k.now)
	}
	return b
}

func (k *packer) add(f follow) {
	b, e := k.bucketOf(&f), f.delivery.Event
	o := k.open[b]
	inline := e.Payload.Inline() && (o == nil || o.last != e)
	if o == nil || f.single || len(k.items[o.at].Pack.Deliveries) >= postrider.MaxPackTargets || inline && o.inline >= postrider.MaxPackEvents {
		o = &openItem{at: len(k.items)}
		k.open[b] = o
		k.items = append(k.items, postrider.Item{Lane: f.lane, Pack: &postrider.Pack{Tenant: k.tenant}})
	}
	if inline {
		o.inline++
	}
	o.last = e
	pack := k.items[o.at].Pack
	pack.Deliveries = append(pack.Deliveries, f.delivery)
}

// packed returns the items, each in the lane where it waits, and with its delay.
func (k *packer) packed() []postrider.Item {
	for i := range k.items {
		item := &k.items[i]
		switch {
		case item.Pack.Deliveries[0].Due.IsZero():
		case item.Lane == postrider.LaneRetry:
			item.Lane, item.Delay = slot.Place(item.Pack.Deliveries, k.now, k.limits)
		default:
			item.Delay = slot.Delay(item.Pack.Deliveries, k.now, k.limits)
		}
	}
	return k.items
}
