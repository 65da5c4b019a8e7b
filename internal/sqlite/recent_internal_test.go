package sqlite

import (
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// A fan-out that comes behind the attempt that ended its delivery changes nothing, whether that is remembered or not.
func TestFanOutBehindTheAttempt(t *testing.T) {
	t.Parallel()
	for _, forgotten := range []bool{false, true} {
		db := openDB(t, t.TempDir())
		e := event("evt_1", []byte("x"))
		appendEvents(t, db, e)
		id := postrider.NewDeliveryID(e, 5)
		record := func(o postrider.Outcome) {
			t.Helper()
			o.At, o.Tenant, o.Event = time.Now(), e.Tenant, e.Head()
			commit, err := db.Outcomes(true).Record(t.Context(), []postrider.Outcome{o})
			if err == nil {
				err = commit.Wait(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		record(postrider.Outcome{Kind: postrider.OutcomeAttempt, TargetID: 5, DeliveryID: id, Attempts: 1, State: postrider.StateDelivered,
			Attempt: &postrider.Attempt{Number: 1, StartedAt: time.Now(), Class: postrider.ClassOK, Status: 200}})
		if forgotten {
			if err := db.writer.do(t.Context(), func(*tx) error { db.outcomes.store.recent = recent{}; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		record(postrider.Outcome{Kind: postrider.OutcomeFanOut, Targets: []int64{5, 6}})
		if err := db.writer.do(t.Context(), func(*tx) error {
			if n := len(db.outcomes.store.pending); n != 1 && !forgotten {
				t.Errorf("%d deliveries wait for a row, want the one that has none", n)
			}
			db.outcomes.store.last = true // all that waits gets its row with this group
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		r, err := db.Database().Delivery(t.Context(), e.Tenant, id)
		if err != nil || r.State != postrider.StateDelivered || r.Attempts != 1 {
			t.Errorf("forgotten %v: %+v, %v", forgotten, r, err)
		}
		if n := rowsIn(t, db, "deliveries"); n != 2 {
			t.Errorf("%d rows, want 2", n)
		}
	}
}
