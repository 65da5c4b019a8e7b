package consume

import "github.com/postrider/postrider"

// turnDeliveries is from how many deliveries on a tenant's turn ends, while others wait.
const turnDeliveries = 256

// turns is what a partition has read and not matched. Tenants take turns, by the deliveries that their events make, so that one whose
// events have many targets holds up nobody else's (deficit round robin: Shreedhar and Varghese, 1995). A tenant's events stay in order.
type turns struct {
	tenants map[string]*waiting
	ring    []*waiting // the next is first
}

// waiting is what waits of a tenant.
type waiting struct {
	tenant string
	events []read
}

// read is an event that was read.
type read struct {
	*postrider.Event
	batch *batch
}

func (t *turns) add(b *batch) {
	for _, e := range b.Events {
		w := t.tenants[e.Tenant]
		if w == nil {
			w = &waiting{tenant: e.Tenant}
			if t.tenants == nil {
				t.tenants = make(map[string]*waiting)
			}
			t.tenants[e.Tenant] = w
			t.ring = append(t.ring, w)
		}
		w.events = append(w.events, read{e, b})
	}
}

func (t *turns) empty() bool { return len(t.ring) == 0 }

// take calls match with the events of whose turn it is, until they have made enough deliveries.
func (t *turns) take(match func(read) (deliveries int)) {
	w := t.ring[0]
	for n := 0; len(w.events) > 0 && (n < turnDeliveries || len(t.ring) == 1 && n < maxDeliveries); {
		e := w.events[0]
		w.events[0] = read{}
		w.events = w.events[1:]
		n += max(match(e), 1)
	}
	t.ring = t.ring[1:]
	if len(w.events) > 0 {
		t.ring = append(t.ring, w)
		return
	}
	delete(t.tenants, w.tenant)
}
