package consume

import (
	"context"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/match"
)

// Limits of a chunk: what is put and recorded at once.
const (
	maxTargets    = 1000 // of one fan-out, so that it is small enough for every engine
	maxDeliveries = 1000 // from here on a chunk is full
	maxEvents     = 500
)

// Limits of a pack of several events: none of them is to wait long for another, nor to weigh much.
const (
	fewTargets  = postrider.MaxPackTargets / postrider.MaxPackEvents
	smallEvent  = 8 << 10
	smallEvents = 64 << 10
)

// chunk is some events, or some targets of one, on their way. Those of its batches are given up together.
type chunk struct {
	ctx   context.Context
	parts []part

	tenant string // of the last event
	mixed  bool   // other events are of other tenants
	fits   func(*postrider.Item) bool
	now    time.Time

	packs      []*postrider.Pack
	open       map[string]*openPack // by tenant: packs that more small events may join
	deliveries int

	items    []postrider.Item
	outcomes []postrider.Outcome

	queued    []*postrider.Commit                   // one an item, or one for all
	queuedAll bool                                  // and durable
	stored    map[*postrider.Event]*postrider.Event // whose payloads had to be stored after all
	recorded  []recording
}

type openPack struct {
	pack   *postrider.Pack
	events int
	bytes  int64
}

// hasOthers reports whether there is something of other tenants in a chunk.
func (k *chunk) hasOthers(tenant string) bool {
	return k.mixed || len(k.outcomes) > 0 && k.tenant != tenant
}

// part is how many events of a batch end in a chunk.
type part struct {
	batch  *batch
	events int
}

func (p *partition) newChunk() *chunk {
	return &chunk{fits: p.fits, now: p.Clock()}
}

// of has the chunk given up with the first batch that it has something of: that ends, and is released, no sooner than the chunk is done.
func (k *chunk) of(b *batch) {
	if k.ctx == nil {
		k.ctx = b.ctx
	}
}

// ends notes that an event of a batch has all that comes of it in this chunk and those before it.
func (k *chunk) ends(b *batch) {
	if n := len(k.parts); n > 0 && k.parts[n-1].batch == b {
		k.parts[n-1].events++
		return
	}
	k.parts = append(k.parts, part{b, 1})
}

func (k *chunk) full() bool { return k.deliveries >= maxDeliveries || len(k.outcomes) >= maxEvents }

// add makes the deliveries of an event to some targets, and its fan-out. If refused, no store takes the payload: the
// deliveries end here.
func (k *chunk) add(e *postrider.Event, refs []match.Ref, version uint64, refused bool) {
	fan := postrider.Outcome{Kind: postrider.OutcomeFanOut, At: k.now, Tenant: e.Tenant, Event: e.Head()}
	deliveries := make([]postrider.Delivery, 0, len(refs))
	for _, r := range refs {
		if r.Off {
			fan.Off = append(fan.Off, r.TargetID)
			continue
		}
		fan.Targets = append(fan.Targets, r.TargetID)
		deliveries = append(deliveries, postrider.Delivery{ID: postrider.NewDeliveryID(e, r.TargetID), Event: e, TargetID: r.TargetID,
			Version: version, Start: e.AcceptedAt})
	}
	k.mixed, k.tenant = k.hasOthers(e.Tenant), e.Tenant
	k.outcomes = append(k.outcomes, fan)
	if refused {
		k.giveUp(deliveries)
		return
	}
	k.deliveries += len(deliveries)
	k.pack(e, deliveries)
}

// pack puts deliveries of one event into packs: a few with those of other small events, many in packs of their own.
func (k *chunk) pack(e *postrider.Event, deliveries []postrider.Delivery) {
	if n := len(deliveries); n > 0 && n <= fewTargets && e.Payload.Size <= smallEvent {
		k.join(e, deliveries)
		return
	}
	for len(deliveries) > 0 {
		n := min(len(deliveries), postrider.MaxPackTargets)
		k.packs = append(k.packs, &postrider.Pack{Tenant: e.Tenant, Deliveries: deliveries[:n:n]})
		deliveries = deliveries[n:]
	}
}

// join adds a small event to the open pack of its tenant, or opens one.
func (k *chunk) join(e *postrider.Event, deliveries []postrider.Delivery) {
	o := k.open[e.Tenant]
	if o == nil || o.events == postrider.MaxPackEvents || o.bytes+e.Payload.Size > smallEvents {
		o = &openPack{pack: &postrider.Pack{Tenant: e.Tenant}}
		k.packs = append(k.packs, o.pack)
		if k.open == nil {
			k.open = make(map[string]*openPack)
		}
		k.open[e.Tenant] = o
	}
	o.pack.Deliveries = append(o.pack.Deliveries, deliveries...)
	o.events++
	o.bytes += e.Payload.Size
}

// seal makes items of the packs, each split until the queue takes it.
func (k *chunk) seal() {
	for _, p := range k.packs {
		k.items = k.split(k.items, p)
	}
	k.packs, k.open = nil, nil
}

// split appends a pack's items. A single that does not fit stays as it is: the queue refuses it, and then its payload is
// stored.
func (k *chunk) split(items []postrider.Item, p *postrider.Pack) []postrider.Item {
	item := postrider.Item{Lane: postrider.LaneFirst, Pack: p}
	if len(p.Deliveries) < 2 || k.fits(&item) {
		return append(items, item)
	}
	for _, half := range halves(p) {
		items = k.split(items, half)
	}
	return items
}

func halves(p *postrider.Pack) [2]*postrider.Pack {
	n := len(p.Deliveries) / 2
	return [2]*postrider.Pack{{Tenant: p.Tenant, Deliveries: p.Deliveries[:n:n]}, {Tenant: p.Tenant, Deliveries: p.Deliveries[n:]}}
}

// giveUp ends deliveries that no engine takes.
func (k *chunk) giveUp(deliveries []postrider.Delivery) {
	for i := range deliveries {
		d := &deliveries[i]
		k.outcomes = append(k.outcomes, postrider.Outcome{Kind: postrider.OutcomeState, At: k.now, Tenant: d.Event.Tenant, Event: d.Event.Head(),
			DeliveryID: d.ID, TargetID: d.TargetID, State: postrider.StateExhausted, Reason: postrider.ReasonInternal})
	}
}
