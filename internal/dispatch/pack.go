package dispatch

import (
	"time"

	"github.com/postrider/postrider"
)

// Widths of the buckets whose deliveries share packs: fine near the due time, coarse far from it, as the retry manager's.
const (
	fineWidth   = time.Second
	coarseWidth = time.Minute
)

// bucket is what goes into one item together: deliveries of one target that are due at about the same time.
type bucket struct {
	lane   postrider.Lane
	target int64
	coarse bool
	slot   int64 // second or minute
}

// packer makes items of what follows, one a bucket, or more where a pack would be too large.
type packer struct {
	tenant  string
	now     time.Time
	longest time.Duration
	items   []postrider.Item
	open    map[bucket]*openItem
}

// openItem is the last item of a bucket.
type openItem struct {
	at     int // among the items
	inline int // events whose payloads are inline
	last   *postrider.Event
}

func (d *Dispatcher) newPacker(tenant string) *packer {
	return &packer{tenant: tenant, now: d.Clock(), longest: d.limits.MaxDelay, open: make(map[bucket]*openItem)}
}

// bucketOf tells where a delivery belongs.
func (k *packer) bucketOf(f *follow) bucket {
	b := bucket{lane: f.lane, target: f.delivery.TargetID}
	if f.delivery.Due.IsZero() {
		return b
	}
	if b.coarse = f.delivery.Due.Sub(k.now) > postrider.MaxDelay; b.coarse {
		b.slot = f.delivery.Due.Unix() / int64(coarseWidth/time.Second)
	} else {
		b.slot = f.delivery.Due.Add(fineWidth - 1).Unix()
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

// packed returns the items, each with its delay.
func (k *packer) packed() []postrider.Item {
	for i := range k.items {
		if item := &k.items[i]; item.Lane == postrider.LaneRetry {
			item.Delay = min(max(wait(item.Pack.Deliveries, k.now), 0), k.longest)
		}
	}
	return k.items
}

// wait is how long deliveries are put away for: until the last is due, if all are within a second; else until shortly before
// the first is, when the retry manager sorts them anew.
func wait(deliveries []postrider.Delivery, now time.Time) time.Duration {
	first, last := deliveries[0].Due, deliveries[0].Due
	for i := range deliveries {
		if due := deliveries[i].Due; due.Before(first) {
			first = due
		} else if due.After(last) {
			last = due
		}
	}
	if last.Sub(first) > fineWidth {
		return first.Add(-coarseWidth).Sub(now)
	}
	return last.Sub(now)
}
