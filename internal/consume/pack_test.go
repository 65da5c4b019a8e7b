package consume_test

import (
	"strings"
	"testing"

	"github.com/postrider/postrider"
)

// shapes are the deliveries and the events of each pack.
func shapes(items []postrider.Item) (out [][2]int) {
	for _, item := range items {
		events := map[*postrider.Event]bool{}
		for _, d := range item.Pack.Deliveries {
			events[d.Event] = true
		}
		out = append(out, [2]int{len(item.Pack.Deliveries), len(events)})
	}
	return out
}

func TestManyTargets(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		t := w.t
		w.subscribe("acme", "a", on, series(1, 2450)...)
		stop := w.run()
		w.feed(batchOf("0", event(1, "acme", "a", 100)))
		w.expect(1)
		got := shapes(w.items)
		if len(got) != 25 || got[0] != [2]int{100, 1} || got[24] != [2]int{50, 1} {
			t.Errorf("packs %v", got)
		}
		seen := map[int64]bool{}
		for _, o := range w.outcomes {
			for _, id := range o.Targets {
				seen[id] = true
			}
		}
		if len(seen) != 2450 || len(w.outcomes) != 3 {
			t.Errorf("%d outcomes with %d targets", len(w.outcomes), len(seen))
		}
		stop()
	})
}

func TestSmallEventsShareAPack(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		t := w.t
		w.subscribe("acme", "a", on, 1, 2)
		w.subscribe("other", "a", on, 3)
		w.cheap = true
		stop := w.run()
		b := batchOf("0", event(100, "other", "a", 100))
		for n := range 12 {
			b.Events = append(b.Events, event(n, "acme", "a", 100))
		}
		b.Events = append(b.Events, event(12, "acme", "a", 100_000))
		w.feed(b)
		if got := shapes(w.items); len(got) != 4 || got[0] != [2]int{1, 1} || got[1] != [2]int{20, 10} || got[2] != [2]int{4, 2} || got[3] != [2]int{2, 1} {
			t.Errorf("packs %v", got)
		}
		for _, item := range w.items {
			for _, d := range item.Pack.Deliveries {
				if d.Event.Tenant != item.Pack.Tenant || !d.Event.Payload.Log || !d.Event.Payload.InHand() {
					t.Errorf("a pack of %s has an event of %s, referred to by %+v", item.Pack.Tenant, d.Event.Tenant, d.Event.Payload)
				}
			}
		}
		stop()
	})
}

func TestPacksAreSplitUntilTheyFit(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		t := w.t
		w.subscribe("acme", "a", on, series(1, 100)...)
		w.fit, w.limit = 600, 600
		stop := w.run()
		w.feed(batchOf("0", event(1, "acme", "a", 100)))
		if got := targets(w.items); len(got) != 100 || len(w.items) < 4 || len(w.items) > 8 {
			t.Errorf("%d deliveries in %d packs", len(got), len(w.items))
		}
		if w.stores != 0 {
			t.Error("a payload that fits was stored")
		}
		stop()
	})
}

func TestAPayloadIsStoredOnce(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		t := w.t
		w.subscribe("acme", "a", on, series(1, 1500)...)
		w.subscribe("acme", "off", off, 2000)
		stop := w.run()
		// Over the inline limit; within it but too large for the queue; wanted by nobody.
		w.fit = 800
		large, wide := event(1, "acme", "a", 1001), event(2, "acme", "a", 900)
		w.feed(batchOf("0", large, wide, event(3, "acme", "off", 5000), event(4, "acme", "none", 5000)))
		w.expect(4)
		if w.stores != 2 || len(w.stored) != 2 {
			t.Errorf("%d stores of %d payloads", w.stores, len(w.stored))
		}
		if got := targets(w.items); len(got) != 3000 {
			t.Errorf("%d deliveries", len(got))
		}
		for _, item := range w.items {
			e := item.Pack.Deliveries[0].Event
			if stored := w.stored[e.Payload.Key]; int64(len(stored)) != e.Payload.Size {
				t.Fatalf("%s refers to %q", e.ID, e.Payload.Key)
			}
			if !strings.HasPrefix(e.Payload.Key, "acme/"+e.AcceptedAt.Format("2006-01-02")+"/") {
				t.Fatalf("key %q", e.Payload.Key)
			}
		}
		stop()
	})
}
