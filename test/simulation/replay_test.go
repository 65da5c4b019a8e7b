package simulation

import (
	"net/http"
	"slices"
	"time"
)

// replay is one that was asked for.
type replay struct {
	at       time.Time
	accepted bool // else it may have been, all the same
}

// replayOne replays a delivery of an event that has long been published, if it is final.
func (o *operator) replayOne() {
	id, e := o.oldEvent()
	if e == nil {
		return
	}
	var shown struct{ Deliveries []delivery }
	o.insist(e.tenant, http.MethodGet, "/webhooks/events/"+id, nil, &shown)
	if n := len(shown.Deliveries); n > 0 {
		o.replay(e, shown.Deliveries[o.random.IntN(n)])
	}
}

func (o *operator) oldEvent() (string, *published) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var old []string
	for id, e := range o.events {
		if e.acknowledged && time.Since(e.at) > 10*time.Second {
			old = append(old, id)
		}
	}
	if len(old) == 0 {
		return "", nil
	}
	slices.Sort(old)
	id := old[o.random.IntN(len(old))]
	return id, o.events[id]
}

// replay asks for a replay, once. It may be refused: the delivery is not final, or its target is off, or no more.
func (w *world) replay(e *published, d delivery) (status int) {
	r := replay{at: time.Now()}
	status, err := w.current.Load().call(http.MethodPost, "/webhooks/deliveries/"+d.ID+"/replay", e.tenant, nil, nil)
	switch {
	case err == nil && status == http.StatusConflict:
		return status
	case err == nil && status < 500 && status != http.StatusAccepted:
		w.t.Errorf("a replay of %+v got status %d", d, status)
	}
	w.t.Logf("%v a replay of %s to %d: %d, %v", r.at, d.EventID, d.TargetID, status, err)
	r.accepted = err == nil && status == http.StatusAccepted
	w.mu.Lock()
	defer w.mu.Unlock()
	k := key{d.EventID, d.TargetID}
	w.replays[k] = append(w.replays[k], r)
	return status
}

// replayFailed replays in the end, with all targets well, what has not been delivered although it is still wanted.
func (w *world) replayFailed() {
	for _, tenant := range [...]string{"acme", "beta"} {
		for _, d := range w.deliveries(tenant) {
			e, p := w.events[d.EventID], w.placeOf(d.TargetID)
			if e == nil || p == nil || d.State == "delivered" || !p.last().wants(e) {
				continue
			}
			if status := w.replay(e, d); status != http.StatusAccepted {
				w.t.Errorf("the replay of %+v got status %d", d, status)
			}
		}
	}
}

func (w *world) placeOf(id int64) *place {
	i := slices.IndexFunc(w.places, func(p *place) bool { return p.id == id })
	if i < 0 {
		return nil
	}
	return w.places[i]
}
