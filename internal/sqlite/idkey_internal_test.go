package sqlite

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/postrider/postrider"
)

func TestIDKey(t *testing.T) {
	t.Parallel()
	const older, newer = "evt_0190163d-8694-7fff-bfff-ffffffffffff", "0190163d-8695-7000-8000-000000000000"
	if a, b := idKey("acme", older), idKey("acme", newer); a >= b {
		t.Errorf("the key of %s is %x, that of %s, which is later, %x", older, a, newer, b)
	}
	if idKey("acme", older) == idKey("globex", older) {
		t.Errorf("two tenants have one key")
	}
	for _, id := range []string{"", "order-17", uuid.NewString(), "0190163d-8694-739b-aea5-966c26f8ad9", "evt_0190163d-8694-739b-aea5-966c26f8ad9z"} {
		if got, want := idKey("acme", id), idHash("acme", id); got != want {
			t.Errorf("%q, which has no time, has the key %x; its hash is %x", id, got, want)
		}
	}
}

// TestEventsByHash finds events of a file that was written before ids had their time in the index.
func TestEventsByHash(t *testing.T) {
	t.Parallel()
	db := openDB(t, t.TempDir())
	id := "evt_" + uuid.Must(uuid.NewV7()).String()
	event := &postrider.Event{Tenant: "acme", ID: id, Type: "orders.created", Payload: postrider.Payload{Size: 2, Bytes: []byte("{}")}}
	commit, err := db.Events().Append(t.Context(), []*postrider.Event{event})
	if err == nil {
		err = commit.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	head := event.Head()
	head.ID, head.Position = "evt_"+uuid.Must(uuid.NewV7()).String(), "elsewhere:0:1"
	record(t, db, postrider.Outcome{Kind: postrider.OutcomeFanOut, At: time.Now(), Tenant: "acme", Event: head, Targets: []int64{7}})
	for table, id := range map[string]string{"events": id, "event_heads": head.ID} {
		if err := db.writer.do(t.Context(), func(tx *tx) error {
			return tx.exec("UPDATE "+table+" SET id_hash = ?", idHash("acme", id))
		}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.events.Find(t.Context(), "acme", id); err != nil {
		t.Errorf("the log does not find its event: %v", err)
	}
	if _, err := db.Database().EventRecord(t.Context(), "acme", head.ID); err != nil {
		t.Errorf("the event of another log is not found: %v", err)
	}
	list, _, err := db.Database().Deliveries(t.Context(), "acme", postrider.DeliveryQuery{EventID: head.ID})
	if err != nil || len(list) != 1 {
		t.Errorf("its deliveries: %v, %v", list, err)
	}
}

// record stores outcomes, each with a row at once.
func record(t *testing.T, db *DB, list ...postrider.Outcome) {
	t.Helper()
	db.outcomes.store.last = true
	commit, err := db.Outcomes(true).Record(context.Background(), list)
	if err == nil {
		err = commit.Wait(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
}
