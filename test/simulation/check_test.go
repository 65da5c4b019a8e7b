package simulation

import (
	"fmt"
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
		w.must(tenant, http.MethodGet, "/webhooks/deliveries?limit=200"+after, nil, &page)
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
			if d.State != "delivered" && d.State != "exhausted" && d.State != "cancelled" {
				w.t.Errorf("delivery of %s to %d is not final: %+v", d.EventID, d.TargetID, d)
			}
		}
	}
	w.checkNothingLost(recorded)
	for _, p := range w.places {
		w.checkArrivals(p, recorded)
	}
}

// checkNothingLost holds every acknowledged event against the deliveries it must have had. All targets are well in the end,
// and windows last beyond that; only a clock that went forward may end one early.
func (w *world) checkNothingLost(recorded map[key]delivery) {
	for id, e := range w.events {
		for _, p := range w.places {
			d, there := recorded[key{id, p.id}]
			switch {
			case !e.acknowledged || !p.steady || !p.wants(e):
			case !there:
				w.t.Errorf("event %s was acknowledged, and target %s, which wants it, has no delivery", id, p.receiver.name)
			case d.State != "delivered" && (!w.forward || d.State != "exhausted" || d.Reason != "window"):
				w.t.Errorf("event %s is not delivered to %s, which is well: %+v", id, p.receiver.name, d)
			}
		}
		if e.acknowledged {
			w.must(e.tenant, http.MethodGet, "/webhooks/events/"+id, nil, nil)
		}
	}
}

// checkArrivals holds a receiver's ledger against the producers' and against what the API says.
func (w *world) checkArrivals(p *place, recorded map[key]delivery) {
	came := map[string][]arrival{} // by event
	taken := map[string][]arrival{}
	for _, a := range p.receiver.arrivals {
		e := w.events[a.event]
		if e == nil || !p.wants(e) || a.digest != e.digest {
			w.t.Errorf("%s got what it should not have: %+v of %+v", p.receiver.name, a, e)
			continue
		}
		came[a.event] = append(came[a.event], a)
		if a.status == http.StatusOK {
			taken[a.event] = append(taken[a.event], a)
		}
		if _, there := recorded[key{a.event, p.id}]; !there {
			w.t.Errorf("%s got %s, of which the API knows no delivery", p.receiver.name, a.event)
		}
	}
	for id, list := range came {
		w.checkTwins(p, id, list)
	}
	for k, d := range recorded {
		if k.target != p.id {
			continue
		}
		list := taken[k.event]
		if d.State == "delivered" && len(list) == 0 {
			w.t.Errorf("%s counts as delivered to %s, which never took it", k.event, p.receiver.name)
		}
		if d.State != "delivered" && slices.ContainsFunc(list, func(a arrival) bool { return !w.excused(a) }) {
			w.t.Errorf("%s took %s, and it counts as %s: %s", p.receiver.name, k.event, d.State, show(list))
		}
	}
}

// A twin is made where an upheaval hits a delivery: before the position of its event is durable (and this long after it), or
// while its pack is in hand, which it is until the last of the deliveries that share the pack is dealt with.
const (
	positionLag = 2 * time.Second
	packOpen    = 15 * time.Second
)

// checkTwins holds the copies of each attempt against their bound. Each hit at most doubles the copies of a delivery that
// are on their way: a crash has its event read again, a jump of the clock ends its lease.
func (w *world) checkTwins(p *place, id string, list []arrival) {
	slices.SortFunc(list, func(a, b arrival) int { return a.from.Compare(b.from) })
	hits := 0
	for _, at := range w.upheavals {
		if within(at, w.events[id].at, w.events[id].at.Add(positionLag)) {
			hits++
		}
		if slices.ContainsFunc(list, func(a arrival) bool { return within(at, a.from, a.until.Add(packOpen)) }) {
			hits++
		}
	}
	copies := map[int]int{}
	for _, a := range list {
		if copies[a.attempt]++; copies[a.attempt] > 1<<hits {
			w.t.Errorf("%s got attempt %d of %s %d times, and %d upheavals excuse at most %d: %s", p.receiver.name, a.attempt, id,
				copies[a.attempt], hits, 1<<hits, show(list))
		}
	}
}

// excused reports whether an upheaval fell into an attempt, so that its outcome may be lost.
func (w *world) excused(a arrival) bool {
	return slices.ContainsFunc(w.upheavals, func(at time.Time) bool { return within(at, a.from, a.until) })
}

func within(at, from, until time.Time) bool { return !at.Before(from) && !at.After(until) }

func show(list []arrival) string {
	text := ""
	for _, a := range list {
		text += fmt.Sprintf("\n  attempt %d from %v to %v, answered %d", a.attempt, a.from, a.until, a.status)
	}
	return text
}
