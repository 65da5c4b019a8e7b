package simulation

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// delivery is a delivery as the API shows it.
type delivery struct {
	ID       string
	EventID  string
	TargetID int64
	State    string
	Reason   string
	Attempts int
}

// deliveries lists all deliveries of a tenant.
func (w *world) deliveries(tenant string) []delivery {
	var all []delivery
	for after := ""; ; {
		var page struct {
			Items []delivery
			Next  string
		}
		w.insist(tenant, http.MethodGet, "/webhooks/deliveries?limit=200"+after, nil, &page)
		all = append(all, page.Items...)
		if page.Next == "" {
			return all
		}
		after = "&after=" + url.QueryEscape(page.Next)
	}
}

// key names a delivery by what it delivers and whereto: ids of events are used once here.
type key struct {
	event  string
	target int64
}

// lag is how long after its answer an event is matched at the latest, where nothing is wrong: after an upheaval, after that.
const lag = 30 * time.Second

// check holds what must be true once all has come to rest.
func (w *world) check() {
	recorded := map[key]delivery{}
	for _, tenant := range [...]string{"acme", "beta"} {
		for _, d := range w.deliveries(tenant) {
			k := key{d.EventID, d.TargetID}
			if twice, ok := recorded[k]; ok {
				w.t.Errorf("event %s has two deliveries to target %d: %+v and %+v", d.EventID, d.TargetID, twice, d)
			}
			recorded[k] = d
		}
	}
	for id, e := range w.events {
		for _, p := range w.places {
			if p.tenant == e.tenant {
				w.checkDelivery(id, e, p, recorded)
			}
		}
		if e.acknowledged {
			w.insist(e.tenant, http.MethodGet, "/webhooks/events/"+id, nil, nil)
		}
	}
	for _, p := range w.places {
		w.checkArrivals(p, recorded)
		w.checkSubscriptions(p)
	}
}

// checkSubscriptions holds a place's subscriptions, as the API shows them, against what the operator has done.
func (w *world) checkSubscriptions(p *place) {
	want, got := map[int64]bool{}, map[int64]bool{}
	for _, s := range p.subs {
		want[s.id] = s.active
	}
	for _, s := range w.subscriptions(p) {
		got[s.ID] = s.Active
	}
	if !maps.Equal(got, want) {
		w.t.Errorf("%s has the subscriptions %v (active or not), want %v", p.receiver.name, got, want)
	}
}

// checkDelivery holds what became of an event at a place against what that wanted, from the moment in which the event was published on:
// what was acknowledged before counts, what was under way may.
func (w *world) checkDelivery(id string, e *published, p *place, recorded map[key]delivery) {
	matched := w.through(e.until.Add(lag), lag)
	wanted := func(f *face) bool { return f.wants(e) }
	d, there := recorded[key{id, p.id}]
	switch {
	case !there && e.acknowledged && p.always(e.at, matched, wanted):
		w.t.Errorf("event %s (%+v) was acknowledged, and %s, which wants it, has no delivery: %s", id, e, p.receiver.name, p)
	case there && !p.ever(e.at, matched, wanted):
		w.t.Errorf("event %s (%+v) has a delivery to %s, which did not want it: %s", id, e, p.receiver.name, p)
	case there && p.last().wants(e) && d.State != "delivered": // it was replayed, if need be
		w.t.Errorf("event %s (%+v) is not delivered to %s, which is well: %+v: %s", id, e, p.receiver.name, d, p)
	case there && !w.excuses(p, e, d):
		w.t.Errorf("event %s (%+v) should not have ended so: %+v: %s", id, e, d, p)
	}
}

// excuses reports whether a delivery may have ended so.
func (w *world) excuses(p *place, e *published, d delivery) bool {
	is := func(*face) bool { return false }
	switch d.State + " " + d.Reason {
	case "delivered ":
		is = func(*face) bool { return true }
	case "cancelled unsubscribed":
		is = func(f *face) bool { return !f.deleted && !f.wants(e) }
	case "cancelled target_deleted":
		is = func(f *face) bool { return f.deleted }
	case "cancelled target_off":
		is = func(f *face) bool { return f.mayBeOff }
	case "exhausted window":
		is = func(*face) bool { return w.mayGiveUp(p) }
	}
	return p.ever(e.at, time.Now(), is)
}

// mayGiveUp reports whether a window may end before all is well.
func (w *world) mayGiveUp(p *place) bool { return p.short || w.forward }

// checkArrivals holds a receiver's ledger against the producers' and against what the API says.
func (w *world) checkArrivals(p *place, recorded map[key]delivery) {
	came, taken := map[string][]arrival{}, map[string][]arrival{} // by event
	for _, a := range p.receiver.arrivals {
		e := w.events[a.event]
		if e == nil || p.tenant != e.tenant || a.digest != e.digest {
			w.t.Errorf("%s got what it should not have: %+v of %+v", p.receiver.name, a, e)
			continue
		}
		if !p.ever(a.from.Add(-judged), a.from, func(f *face) bool { return f.wants(e) }) {
			w.t.Errorf("%s got %s (%+v), which it did not want then, at %v: %s", p.receiver.name, a.event, e, a.from, p)
		}
		came[a.event] = append(came[a.event], a)
		if a.status == http.StatusOK {
			taken[a.event] = append(taken[a.event], a)
		}
		if _, there := recorded[key{a.event, p.id}]; !there && !w.forgotten(p, e, a) {
			w.t.Errorf("%s got %s (%+v), of which the API knows no delivery: %+v: %s", p.receiver.name, a.event, e, a, p)
		}
	}
	for id, list := range came {
		w.checkCopies(p, id, list)
	}
	for k, d := range recorded {
		if k.target != p.id {
			continue
		}
		w.checkReplays(p, k, taken[k.event])
		if d.State == "delivered" && len(taken[k.event]) == 0 {
			w.t.Errorf("%s counts as delivered to %s, which never took it", k.event, p.receiver.name)
		}
		if d.State != "delivered" && slices.ContainsFunc(taken[k.event], func(a arrival) bool { return a.replay == w.replayed(k) && !w.excused(a) }) {
			w.t.Errorf("%s took %s, and it counts as %s: %s", p.receiver.name, k.event, d.State, show(taken[k.event]))
		}
	}
}

// judged is how long before it arrives a message was judged, at most.
const judged = time.Second
