package stack

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"

	"github.com/postrider/postrider/test/harness"
)

// TestFrozenFeed freezes the change feed of one of two dispatchers, by freezing its connections to the database, while targets
// come and go: it must not judge what it cannot know, and nothing is cancelled that is wanted.
func TestFrozenFeed(t *testing.T) {
	t.Parallel()
	f := newFleet(t, drillSettings()...)
	f.startAll(t)
	p := before(t, "127.0.0.1:0", f.at.pg)
	at := f.at
	at.pg = p.Listen
	frozen := f.startAt(t, at, "dispatcher")
	receiver := harness.NewReceiver(t, nil)
	mend := p.freeze(t)

	var last harness.Target
	wanted := map[string]int64{} // deliveries that must be made: event, target
	const targets, events = 4, 8
	for n := range targets {
		path, eventType := fmt.Sprintf("/new-%d", n), fmt.Sprintf("feed.t%d", n)
		target := f.api().Target(t, receiver.URL+path)
		f.api().Subscribe(t, target.ID, []string{eventType})
		f.awaitMatch(t, receiver, path, eventType)
		for range events {
			wanted[f.api().Publish(t, eventType, []byte(path))] = target.ID
		}
		if n > 0 { // the one before has all of its own, and goes
			f.awaitDelivered(t, wanted, last.ID)
			f.api().Do(t, http.StatusNoContent, http.MethodDelete, fmt.Sprintf("/webhooks/targets/%d?cascade=true", last.ID), nil, nil)
		}
		last = target
	}
	f.awaitDelivered(t, wanted, last.ID)
	for _, d := range f.api().Deliveries(t, "state=cancelled") {
		if wanted[d.EventID] != d.TargetID {
			continue // a probe, which nobody waited for before its target was deleted
		}
		t.Errorf("%s to %d is cancelled: %s", d.EventID, d.TargetID, d.Reason)
	}
	harness.Await(t, func() string { // it did take deliveries that it could not judge
		if frozen.Metric(t, `postrider_deferred_total{reason="stale"}`) > 0 {
			return ""
		}
		f.api().Publish(t, fmt.Sprintf("feed.t%d", targets-1), []byte("one more"))
		return "the frozen dispatcher has not put off anything"
	})
	mend()
	f.awaitReady(t, "the dispatcher whose feed was frozen", frozen)
}

// awaitMatch publishes until an event of a type arrives: the consumer hears of a new subscription a little later.
func (f *fleet) awaitMatch(t *testing.T, r *harness.Receiver, path, eventType string) {
	t.Helper()
	harness.Await(t, func() string {
		f.api().Publish(t, eventType, []byte("probe"))
		for _, m := range r.Messages() {
			if m.Path == path {
				return ""
			}
		}
		return "nothing arrives at " + path
	})
}

// awaitDelivered waits until all that a target is to get is delivered.
func (f *fleet) awaitDelivered(t *testing.T, wanted map[string]int64, target int64) {
	t.Helper()
	f.api().AwaitDeliveries(t, "targetId="+strconv.FormatInt(target, 10), func(list []harness.Delivery) bool {
		done := 0
		for _, d := range list {
			if wanted[d.EventID] == target && d.State == "delivered" {
				done++
			}
		}
		want := 0
		for _, of := range wanted {
			if of == target {
				want++
			}
		}
		return done == want
	})
}
