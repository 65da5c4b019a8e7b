package wire

import (
	"github.com/postrider/postrider"
)

// Flags of a delivery.
const (
	ownTime       flag = 1 << iota // the id's time is not the event's acceptance: the id stands whole
	otherEvent                     // the event is not that of the delivery before
	otherTarget                    // the target is not that of the delivery before
	otherVersion                   // the version is not that of the delivery before
	counted                        // attempts, generation and earlier are not all 0
	ownStart                       // the window does not start at the event's acceptance
	delayed                        // there is a due time
	triedBefore                    // there is a last try
	idTime             = 6         // bytes of an id that tell the time
	minDelivery        = 1 + 10    // bytes that a delivery takes at least
	payloadKeyed  flag = 1
	payloadLogged flag = 2
	payloadInline flag = 4
)

// AppendPack appends a pack to dst. Events shared by deliveries are written once; the bytes of a payload only if they are
// its only reference. It reads the pack, and keeps nothing of it.
func AppendPack(dst []byte, p *postrider.Pack) []byte {
	w := newWriter(dst, kindPack)
	w.label(p.Tenant)
	w.count(len(p.Deliveries))
	var events []*postrider.Event
	previous := &postrider.Delivery{}
	for i := range p.Deliveries {
		d := &p.Deliveries[i]
		events = w.delivery(d, previous, events)
		previous = d
	}
	return w.end()
}

func (w *writer) delivery(d, previous *postrider.Delivery, events []*postrider.Event) []*postrider.Event {
	accepted := millis.of(d.Event.AcceptedAt)
	f := deliveryFlags(d, previous, accepted)
	w.byte(byte(f))
	if f.has(otherEvent) {
		events = w.eventOnce(d.Event, events)
	}
	if f.has(ownTime) {
		w.b = append(w.b, d.ID[:idTime]...)
	}
	w.b = append(w.b, d.ID[idTime:]...)
	if f.has(otherTarget) {
		w.uint(uint64(d.TargetID))
	}
	if f.has(otherVersion) {
		w.uint(d.Version)
	}
	if f.has(counted) {
		w.count(d.Attempts)
		w.count(d.Generation)
		w.count(d.Earlier)
	}
	if f.has(ownStart) {
		w.time(d.Start, millis, accepted)
	}
	if f.has(delayed) {
		w.time(d.Due, millis, accepted)
	}
	if f.has(triedBefore) {
		w.time(d.LastTry, millis, accepted)
	}
	return events
}

func deliveryFlags(d, previous *postrider.Delivery, accepted int64) flag {
	var f flag
	f.set(ownTime, d.ID.AcceptedAt().UnixMilli() != accepted)
	f.set(otherEvent, d.Event != previous.Event)
	f.set(otherTarget, d.TargetID != previous.TargetID)
	f.set(otherVersion, d.Version != previous.Version)
	f.set(counted, d.Attempts|d.Generation|d.Earlier != 0)
	f.set(ownStart, d.Start.IsZero() != d.Event.AcceptedAt.IsZero() || millis.of(d.Start) != accepted)
	f.set(delayed, !d.Due.IsZero())
	f.set(triedBefore, !d.LastTry.IsZero())
	return f
}

// eventOnce writes the place of an event among those written, and the event itself where it is new.
func (w *writer) eventOnce(e *postrider.Event, events []*postrider.Event) []*postrider.Event {
	for i := len(events) - 1; i >= 0; i-- {
		if events[i] == e {
			w.count(i)
			return events
		}
	}
	w.count(len(events))
	w.string(e.ID)
	w.label(e.Tenant)
	w.label(e.Type)
	w.label(e.ContentType)
	w.time(e.AcceptedAt, millis, 0)
	w.string(string(e.Position))
	w.string(e.Trace)
	w.payload(&e.Payload)
	return append(events, e)
}

func (w *writer) payload(p *postrider.Payload) {
	var f flag
	f.set(payloadKeyed, p.Key != "")
	f.set(payloadLogged, p.Log)
	f.set(payloadInline, p.Inline() && p.InHand())
	w.byte(byte(f))
	if f.has(payloadKeyed) {
		w.string(p.Key)
	}
	if f.has(payloadInline) {
		w.late(p.Bytes)
		return
	}
	w.uint(uint64(max(p.Size, 0)))
}

// DecodePack reads what AppendPack wrote. Inline payloads share memory with b. The error is a CodeMalformed.
func DecodePack(b []byte) (*postrider.Pack, error) {
	r, err := open(b, kindPack, "pack")
	if err != nil {
		return nil, err
	}
	p := &postrider.Pack{Tenant: r.label()}
	if n := r.length(minDelivery); n > 0 {
		p.Deliveries = make([]postrider.Delivery, n)
	}
	r.deliveries(p.Deliveries)
	if !r.end() {
		return nil, malformed("pack")
	}
	return p, nil
}

func (r *reader) deliveries(deliveries []postrider.Delivery) {
	var events []*postrider.Event
	previous := &postrider.Delivery{}
	for i := range deliveries {
		d := &deliveries[i]
		f := flag(r.byte())
		d.Event = previous.Event
		if f.has(otherEvent) {
			d.Event, events = r.eventOnce(events)
		}
		if d.Event == nil {
			r.fail()
		}
		if r.bad {
			return
		}
		r.delivery(f, d, previous)
		previous = d
	}
}

func (r *reader) delivery(f flag, d, previous *postrider.Delivery) {
	accepted := millis.of(d.Event.AcceptedAt)
	if f.has(ownTime) {
		copy(d.ID[:idTime], r.fixed(idTime))
	} else {
		putTime(&d.ID, accepted)
	}
	copy(d.ID[idTime:], r.fixed(len(d.ID)-idTime))
	d.TargetID, d.Version, d.Start = previous.TargetID, previous.Version, d.Event.AcceptedAt
	if f.has(otherTarget) {
		d.TargetID = r.int63()
	}
	if f.has(otherVersion) {
		d.Version = r.uint()
	}
	if f.has(counted) {
		d.Attempts, d.Generation, d.Earlier = r.count(), r.count(), r.count()
	}
	if f.has(ownStart) {
		d.Start = r.time(millis, accepted)
	}
	if f.has(delayed) {
		d.Due = r.time(millis, accepted)
	}
	if f.has(triedBefore) {
		d.LastTry = r.time(millis, accepted)
	}
}

// putTime sets the part of an id that tells the time.
func putTime(id *postrider.DeliveryID, ms int64) {
	for i := range idTime {
		id[i] = byte(ms >> (8 * (idTime - 1 - i)))
	}
}

func (r *reader) eventOnce(events []*postrider.Event) (*postrider.Event, []*postrider.Event) {
	i := r.uint()
	switch n := uint64(len(events)); {
	case i < n:
		return events[i], events
	case i > n:
		r.fail()
		return nil, events
	}
	e := &postrider.Event{ID: r.string(), Tenant: r.label(), Type: r.label(), ContentType: r.label(), AcceptedAt: r.time(millis, 0),
		Position: postrider.Position(r.string()), Trace: r.string(), Payload: r.payload()}
	return e, append(events, e)
}

func (r *reader) payload() (p postrider.Payload) {
	f := flag(r.byte())
	if f.has(payloadKeyed) {
		p.Key = r.string()
	}
	p.Log = f.has(payloadLogged)
	if f.has(payloadInline) {
		p.Bytes = r.late()
		p.Size = int64(len(p.Bytes))
		return p
	}
	p.Size = r.int63()
	return p
}
