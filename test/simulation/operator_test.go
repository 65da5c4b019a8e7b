package simulation

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const (
	mostPlaces = 12
	inFlight   = 20 * time.Second // after it, a target that answered 410 is off, if no disk fails
)

// operator changes targets, filters and subscriptions that are not steady, one after the other, and replays deliveries.
type operator struct {
	*world
	random *rand.Rand
}

// operate works until the end.
func (o *operator) operate(end time.Time) {
	for time.Now().Before(end) {
		time.Sleep(time.Duration(o.random.Int64N(int64(8 * time.Second))))
		if o.random.IntN(3) == 0 {
			o.replayOne()
			continue
		}
		o.change()
	}
}

// change changes one thing.
func (o *operator) change() {
	p := o.changing()
	if p == nil || o.random.IntN(8) == 0 {
		o.found()
		return
	}
	begun := time.Now()
	mayBeOff := p.last().mayBeOff
	switch o.random.IntN(8) {
	case 0, 1, 2:
		o.flip(p)
	case 3:
		o.retune(p)
	case 4:
		o.subscribe(p, somePattern(o.random))
	case 5:
		p.receiver.disableOnce(true)
		mayBeOff = true
	case 6:
		mayBeOff = o.enable(p)
	default:
		o.remove(p)
	}
	p.turn(begun, mayBeOff)
}

// changing draws a place that may change; nil if there is none.
func (o *operator) changing() *place {
	may := slices.DeleteFunc(slices.Clone(o.places), func(p *place) bool { return p.steady || p.deleted })
	if len(may) == 0 {
		return nil
	}
	return may[o.random.IntN(len(may))]
}

// found makes one more place.
func (o *operator) found() {
	if len(o.places) >= mostPlaces {
		return
	}
	o.register(o.newPlace([...]string{"acme", "beta"}[o.random.IntN(2)], false, o.random), somePattern(o.random))
}

// flip activates or deactivates a subscription.
func (o *operator) flip(p *place) {
	if len(p.subs) == 0 {
		return
	}
	s := p.subs[o.random.IntN(len(p.subs))]
	s.active = !s.active
	o.insist(p.tenant, http.MethodPatch, fmt.Sprintf("/webhooks/subscriptions/%d", s.id), map[string]any{"active": s.active}, nil)
}

// retune changes what a filter names.
func (o *operator) retune(p *place) {
	if len(p.subs) == 0 {
		return
	}
	s := p.subs[o.random.IntN(len(p.subs))]
	pattern := somePattern(o.random)
	for _, other := range p.subs {
		if other.filter == s.filter { // one subscription that was made twice, for lack of an answer
			other.pattern = pattern
		}
	}
	o.insist(p.tenant, http.MethodPatch, fmt.Sprintf("/webhooks/filters/%d", s.filter), map[string]any{"events": []string{s.pattern}}, nil)
}

// enable turns a target on, and reports whether it may be off all the same, since it was told to turn itself off just now.
func (o *operator) enable(p *place) (mayBeOff bool) {
	gone := p.receiver.disableOnce(false)
	o.insist(p.tenant, http.MethodPost, fmt.Sprintf("/webhooks/targets/%d/enable", p.id), nil, nil)
	return time.Now().Before(o.through(gone.Add(inFlight), inFlight))
}

// remove deletes a subscription, a filter with all that uses it, or the target.
func (o *operator) remove(p *place) {
	if len(p.subs) == 0 || o.random.IntN(3) == 0 {
		o.insist(p.tenant, http.MethodDelete, fmt.Sprintf("/webhooks/targets/%d?cascade=true", p.id), nil, nil)
		p.deleted, p.subs = true, nil
		return
	}
	i := o.random.IntN(len(p.subs))
	s := p.subs[i]
	if o.random.IntN(2) == 0 {
		o.insist(p.tenant, http.MethodDelete, fmt.Sprintf("/webhooks/filters/%d?cascade=true", s.filter), nil, nil)
		p.subs = slices.DeleteFunc(p.subs, func(other *subscription) bool { return other.filter == s.filter })
		return
	}
	o.insist(p.tenant, http.MethodDelete, fmt.Sprintf("/webhooks/subscriptions/%d", s.id), nil, nil)
	p.subs = slices.Delete(p.subs, i, i+1)
}

// register makes a target and its subscriptions.
func (w *world) register(p *place, wanted ...string) {
	w.t.Helper()
	begun := time.Now()
	var target struct{ ID int64 }
	body := map[string]any{"url": "http://" + p.receiver.name + "/hook"}
	if p.short {
		body["retry"] = map[string]any{"window": "20s"}
	}
	w.insist(p.tenant, http.MethodPost, "/webhooks/targets", body, &target)
	p.id = target.ID
	for _, pattern := range wanted {
		w.subscribe(p, pattern)
	}
	p.turn(begun, false)
}

// subscribe makes a filter and a subscription. A request that was not answered may have made one all the same: it is taken for one more.
func (w *world) subscribe(p *place, pattern string) {
	w.t.Helper()
	var filter, sub struct{ ID int64 }
	w.insist(p.tenant, http.MethodPost, "/webhooks/filters", map[string]any{"events": []string{pattern}}, &filter)
	if w.insist(p.tenant, http.MethodPost, "/webhooks/subscriptions", map[string]any{"targetId": p.id, "filterId": filter.ID}, &sub) == 1 {
		p.subs = append(p.subs, &subscription{sub.ID, filter.ID, pattern, true})
		return
	}
	for _, s := range w.subscriptions(p) {
		if s.FilterID == filter.ID {
			p.subs = append(p.subs, &subscription{s.ID, filter.ID, pattern, true})
		}
	}
}

// shown is a subscription as the API shows it.
type shown struct {
	ID, TargetID, FilterID int64
	Active                 bool
}

// subscriptions lists those of a place.
func (w *world) subscriptions(p *place) (its []shown) {
	w.t.Helper()
	for after := ""; ; {
		var page struct {
			Items []shown
			Next  string
		}
		w.insist(p.tenant, http.MethodGet, "/webhooks/subscriptions?limit=200"+after, nil, &page)
		for _, s := range page.Items {
			if s.TargetID == p.id {
				its = append(its, s)
			}
		}
		if page.Next == "" {
			return its
		}
		after = "&after=" + url.QueryEscape(page.Next)
	}
}

// insist repeats a request until it is answered as it should be, and returns how often it took. What was asked for before has then been
// done, or never will be: a later write is durable.
func (w *world) insist(tenant, method, path string, body, out any) (tries int) {
	w.t.Helper()
	for {
		tries++
		status, err := w.current.Load().call(method, path, tenant, body, out)
		switch {
		case err == nil && status < 300, tries > 1 && method == http.MethodDelete && status == http.StatusNotFound:
			return tries
		case err == nil && status < 500 || tries > 200:
			w.t.Errorf("%s %s: status %d, %v, at try %d", method, path, status, err, tries)
			return tries
		}
		time.Sleep(time.Second)
	}
}
