package retry

import "github.com/postrider/postrider"

// place is where an event lies: equal ones are one event, of which packs hold one copy.
type place struct {
	id       string
	position postrider.Position
}

// fill is how many of loads, at least one, go into one pack.
func fill(loads []load) int {
	deliveries := 0
	inline := make(map[place]bool)
	for i, l := range loads {
		deliveries += len(l.pack.Deliveries)
		for j := range l.pack.Deliveries {
			if e := l.pack.Deliveries[j].Event; e.Payload.Inline() {
				inline[place{e.ID, e.Position}] = true
			}
		}
		if i > 0 && (deliveries > postrider.MaxPackTargets || len(inline) > postrider.MaxPackEvents) {
			return i
		}
	}
	return len(loads)
}

// merged is one pack of loads of one tenant. Of deliveries with one id (twins) that which has come further is kept, and
// events that are equal are shared. The packs of the loads stay as they are.
func merged(loads []load) *postrider.Pack {
	if len(loads) == 1 {
		return loads[0].pack
	}
	n := 0
	for _, l := range loads {
		n += len(l.pack.Deliveries)
	}
	pack := &postrider.Pack{Tenant: loads[0].pack.Tenant, Deliveries: make([]postrider.Delivery, 0, n)}
	at := make(map[postrider.DeliveryID]int, n)
	events := make(map[place]*postrider.Event, n)
	for _, l := range loads {
		for _, d := range l.pack.Deliveries {
			from := place{d.Event.ID, d.Event.Position}
			if e, seen := events[from]; seen && sameReference(e, d.Event) {
				d.Event = e
			} else {
				events[from] = d.Event
			}
			i, twin := at[d.ID]
			switch {
			case !twin:
				at[d.ID] = len(pack.Deliveries)
				pack.Deliveries = append(pack.Deliveries, d)
			case further(&d, &pack.Deliveries[i]):
				pack.Deliveries[i] = d
			}
		}
	}
	return pack
}

// sameReference reports whether two copies of an event refer to its payload in the same way.
func sameReference(a, b *postrider.Event) bool {
	return a.Payload.Key == b.Payload.Key && a.Payload.Log == b.Payload.Log
}

// further reports whether a has come further than its twin b.
func further(a, b *postrider.Delivery) bool {
	if a.Generation != b.Generation {
		return a.Generation > b.Generation
	}
	if a.Attempts != b.Attempts {
		return a.Attempts > b.Attempts
	}
	return a.Version > b.Version
}
