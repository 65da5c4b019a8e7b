package databasetest

import (
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// What producers and receivers can send never stops the archive: times before 1970 and beyond any retention, texts that are no UTF-8
// or hold a zero, heads of any bytes.
func testOddOutcomes(t *testing.T, h Harness) {
	d := h.Database
	for i, at := range []time.Time{{}, time.UnixMilli(-5), time.UnixMilli(0), time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)} {
		e := event("acme", i)
		e.AcceptedAt = at
		o := tried(e, 5, 0, 1, postrider.StateExhausted, postrider.ReasonWindow)
		o.Attempt.StartedAt = accepted
		o.At = accepted
		o.Attempt.Error, o.Attempt.Head = "bad \xff\x00 text", []byte{0, 255, '\'', '\\'}
		f := fanOut(e, 5)
		f.At = accepted
		archive(t, d, f, o)
		if r := delivery(t, d, e, 5); r.State != postrider.StateExhausted || r.Event.ID != e.ID {
			t.Errorf("accepted %v: %+v", at, r)
		}
		if a := attempts(t, d, e, 5); len(a) != 1 || string(a[0].Head) != "\x00\xff'\\" || a[0].Error == "" {
			t.Errorf("accepted %v: attempts %+v", at, a)
		}
		got, _, err := d.Deliveries(patient(t), "acme", postrider.DeliveryQuery{EventID: e.ID})
		if err != nil || len(got) != 1 {
			t.Errorf("accepted %v: by its event %v, %v", at, ids(got), err)
		}
	}
}

// A name with a zero in it is stored as it is, or refused by its field.
func testOddNames(t *testing.T, h Harness) {
	d := h.Database
	const name = "a\x00b"
	target := &postrider.Target{Tenant: "acme", Name: name, URL: "https://example.com"}
	switch err := d.CreateTarget(patient(t), target); {
	case err != nil:
		wantCode(t, err, postrider.CodeInvalid)
	default:
		got, err := d.Target(patient(t), "acme", target.ID)
		if err != nil || got.Name != name {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}

// An event's deliveries are found before its fan-out is there, and those of an id that was used again together; the record of the event
// needs its fan-out.
func testByEvent(t *testing.T, h Harness) {
	d, ctx := h.Database, patient(t)
	e, again := event("acme", 1), event("acme", 90_000_000)
	again.ID = e.ID
	archive(t, d, tried(e, 5, 0, 1, postrider.StateDelivered, ""))
	got, _, err := d.Deliveries(ctx, "acme", postrider.DeliveryQuery{EventID: e.ID})
	if err != nil || len(got) != 1 {
		t.Errorf("before the fan-out: %v, %v", ids(got), err)
	}
	_, err = d.EventRecord(ctx, "acme", e.ID)
	wantCode(t, err, postrider.CodeNotFound)
	archive(t, d, fanOut(e, 5, 6), fanOut(again, 5))
	if _, err := d.EventRecord(ctx, "acme", e.ID); err != nil {
		t.Error(err)
	}
	got = listAll(t, d, postrider.DeliveryQuery{EventID: e.ID, Page: postrider.Page{Limit: 2}})
	if len(got) != 3 || !got[0].CreatedAt.Equal(again.AcceptedAt) {
		t.Errorf("both: %v", ids(got))
	}
}

// Holds are each process's own.
func testHoldsByProcess(t *testing.T, h Harness) {
	d, ctx, e := h.Database, patient(t), event("acme", 1)
	archive(t, d, fanOut(e, 5))
	now := time.Now().UTC()
	hold := []postrider.Hold{{TargetID: 5, Reason: postrider.HoldBreaker, Since: now, Until: now.Add(time.Hour)}}
	must(t, d.PutHolds(ctx, "one", hold))
	must(t, d.PutHolds(ctx, "two", hold))
	must(t, d.PutHolds(ctx, "one", nil))
	if r := delivery(t, d, e, 5); r.State != postrider.StateDeferred {
		t.Errorf("with the other's hold: %s", r.State)
	}
	must(t, d.PutHolds(ctx, "two", []postrider.Hold{{TargetID: 6, Reason: postrider.HoldLimited, Since: now, Until: now.Add(time.Hour)}}))
	if r := delivery(t, d, e, 5); r.State != postrider.StatePending {
		t.Errorf("after both: %s", r.State)
	}
}
