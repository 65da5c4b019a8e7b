package sqlite_test

import (
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// A delivery that was deferred before it had a row, and never attempted, is there after a crash.
func TestDeferredIsThereAfterCrash(t *testing.T) {
	t.Parallel()
	f := openFolder(t)
	e := &postrider.Event{ID: "evt_1", Tenant: "acme", Type: "core.orders.created", AcceptedAt: time.Unix(1_700_000_000, 0).UTC(), Position: "1",
		Payload: postrider.Payload{Size: 2, Log: true}}
	pack := &postrider.Pack{Tenant: "acme", Deliveries: []postrider.Delivery{{ID: postrider.NewDeliveryID(e, 5), Event: e, TargetID: 5, Start: e.AcceptedAt}}}
	commit, err := f.db.Queue().Put(t.Context(), postrider.Item{Lane: postrider.LaneRetry, Delay: time.Minute, Pack: pack})
	if err == nil {
		err = commit.Wait(t.Context())
	}
	if err != nil {
		t.Fatalf("put: %v", err)
	}
	r, err := f.crash(t).Database().Delivery(t.Context(), "acme", pack.Deliveries[0].ID)
	if err != nil || r.State != postrider.StatePending {
		t.Errorf("after the crash: %+v, %v", r, err)
	}
}

// What a fan-out tells is there after a stop, though the queue holds nothing of it.
func TestPendingIsThereAfterStop(t *testing.T) {
	t.Parallel()
	f := openFolder(t)
	e := &postrider.Event{ID: "evt_1", Tenant: "acme", Type: "core.orders.created", AcceptedAt: time.Unix(1_700_000_000, 0).UTC(), Position: "1"}
	_, err := f.db.Outcomes(true).Record(t.Context(), []postrider.Outcome{{Kind: postrider.OutcomeFanOut, At: e.AcceptedAt, Tenant: "acme", Event: e.Head(), Targets: []int64{5}}})
	if err == nil {
		err = f.db.Close()
	}
	if err != nil {
		t.Fatalf("record and close: %v", err)
	}
	f.open(t)
	r, err := f.db.Database().Delivery(t.Context(), "acme", postrider.NewDeliveryID(e, 5))
	if err != nil || r.State != postrider.StatePending {
		t.Errorf("after the stop: %+v, %v", r, err)
	}
}
