package stack

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/postrider/postrider/test/harness"
)

// checkArchive holds what the API shows against the ledger: every delivery of what was acknowledged, delivered, with as many attempts
// as came.
func (o *away) checkArchive(t *testing.T) {
	t.Helper()
	accepted := o.ledger.accepted()
	list := o.api().AwaitDeliveries(t, "", func(list []harness.Delivery) bool { // the newest come last
		delivered := 0
		for _, one := range list {
			if accepted[one.EventID] && one.State == "delivered" {
				delivered++
			}
		}
		return delivered >= len(accepted)*len(o.ledger.paths)
	})
	shown, retried := map[string]int{}, 0
	for _, one := range list {
		last := o.ledger.lastAttempt(one.EventID, o.paths[one.TargetID])
		if one.State != "delivered" || one.Attempts != last {
			t.Errorf("%s to %d is %s (%s) after %d attempts; %d came", one.EventID, one.TargetID, one.State, one.Reason, one.Attempts, last)
		}
		shown[one.EventID]++
		if one.Attempts > 1 {
			retried++
			o.checkNumbers(t, one)
		}
	}
	for id := range accepted {
		if shown[id] != len(o.ledger.paths) {
			t.Errorf("%s: %d deliveries are shown, to %d targets", id, shown[id], len(o.ledger.paths))
		}
	}
	t.Logf("the archive shows %d deliveries of %d events acknowledged; %d of them took more than one attempt", len(list), len(accepted), retried)
}

// checkNumbers sees that each attempt of a delivery is shown once.
func (o *away) checkNumbers(t *testing.T, one harness.Delivery) {
	t.Helper()
	var got, want []int
	for _, a := range o.api().Attempts(t, one.ID) {
		got = append(got, a.Number)
	}
	for n := range one.Attempts {
		want = append(want, n+1)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%s to %d: attempts %v are shown of %d", one.EventID, one.TargetID, got, one.Attempts)
	}
}

// awaitSettled waits until the archive has what was accepted before the server was there again, also what came by the queue: newest
// events are open always, those of then no more.
func (o *away) awaitSettled(t *testing.T) {
	t.Helper()
	before := o.up.UTC().Format(time.RFC3339)
	for _, state := range []string{"pending", "retrying", "deferred"} {
		o.api().AwaitDeliveries(t, "state="+state+"&until="+before, func(open []harness.Delivery) bool { return len(open) == 0 })
	}
}

// awaitAsOf waits until the archive has every outcome of before the server was there again, as long as that takes, but no longer than the
// outage took.
func (o *away) awaitAsOf(t *testing.T) {
	t.Helper()
	until := o.up.Add(max(harness.Patience, o.lasts))
	for n := 1; ; n++ {
		var list struct{ AsOf time.Time }
		o.api().Do(t, http.StatusOK, http.MethodGet, "/webhooks/deliveries?limit=1", nil, &list)
		switch {
		case list.AsOf.After(o.up):
			return
		case time.Now().After(until):
			t.Fatalf("the archive does not catch up: it stands at %s", list.AsOf)
		case n%100 == 0:
			t.Logf("the archive stands at %s, %v after the server was there", list.AsOf, time.Since(o.up).Round(time.Second))
		}
		select {
		case <-time.After(100 * time.Millisecond): // asked as an operator would
		case <-t.Context().Done():
			return
		}
	}
}
