package sqlite

import (
	"context"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// TestListsAreBounded: a list for which no index is made looks at so many rows a page, and all pages together have all; however many
// such lists are asked for, who reads the queue and the log does not wait for them.
func TestListsAreBounded(t *testing.T) {
	t.Parallel()
	db := openDB(t, t.TempDir())
	const total = 2*looksAt + 10
	must(t, db.writer.do(t.Context(), func(tx *tx) error {
		return tx.exec(`INSERT INTO deliveries (`+deliveryColumns+`)
			WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
			SELECT 'acme', CAST(printf('%016d', i) AS BLOB), 'event-' || i, iif(i % 40000 = 0, 'rare', 'common'), '', '1', 1, 7, 0, 1, 'delivered', '', 0, 0 FROM n`, total)
	}))
	must(t, db.writer.do(t.Context(), func(tx *tx) error {
		return tx.exec("INSERT INTO target_deliveries SELECT target_id, id FROM deliveries")
	}))
	must(t, db.Database().PutHolds(t.Context(), "one", []postrider.Hold{{TargetID: 9, Reason: postrider.HoldLimited, Since: time.Now(), Until: time.Now().Add(time.Hour)}}))
	must(t, db.writer.do(t.Context(), func(tx *tx) error {
		return tx.exec(`INSERT INTO deliveries (` + deliveryColumns + `) SELECT 'globex', id, event_id, type, '', '1', 1, 9, 0, 0, 'pending', '', 0, 0 FROM deliveries`)
	}))
	must(t, db.writer.do(t.Context(), func(tx *tx) error {
		return tx.exec(`INSERT INTO deliveries (` + deliveryColumns + `) SELECT 'initech', id, event_id, type, '', '1', 1, iif(type = 'rare', 9, 8), 0, 1,
			iif(CAST(id AS TEXT) % 2 = 0, 'retrying', 'pending'), '', 0, 0 FROM deliveries WHERE tenant = 'acme'`)
	}))
	for name, c := range map[string]struct {
		tenant string
		q      postrider.DeliveryQuery
		want   int
	}{
		"by type":               {"acme", postrider.DeliveryQuery{EventType: "rare"}, 2},
		"by type and target":    {"acme", postrider.DeliveryQuery{EventType: "rare", TargetID: 7}, 2},
		"by type and delivered": {"acme", postrider.DeliveryQuery{EventType: "rare", State: postrider.StateDelivered}, 2},
		"by event and target":   {"acme", postrider.DeliveryQuery{EventID: "event-80000", TargetID: 9}, 0},
		"pending":               {"globex", postrider.DeliveryQuery{State: postrider.StatePending}, 0},
		"deferred":              {"initech", postrider.DeliveryQuery{State: postrider.StateDeferred}, 2},
	} {
		q, found, pages := c.q, 0, 0
		for more := true; more; more = q.After != "" {
			list, next, err := db.Database().Deliveries(t.Context(), c.tenant, q)
			must(t, err)
			found, pages, q.After = found+len(list), pages+1, next
		}
		if found != c.want || pages != 3 {
			t.Errorf("%s: %d found in %d pages; %d are there, among rows for 3", name, found, pages, c.want)
		}
	}
	for range listers {
		conn, err := db.lists.Conn(t.Context())
		must(t, err)
		defer conn.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := db.Database().Deliveries(ctx, "acme", postrider.DeliveryQuery{}); err == nil {
		t.Error("a list goes by a connection that is not the lists'")
	}
	if _, err := db.events.Find(ctx, "acme", "event-1"); postrider.CodeOf(err) == postrider.CodeNotFound {
		t.Error("an event is found by its id by a connection that is not the lists'")
	}
	must(t, db.Queue().(*queue).db.read.PingContext(t.Context()))
}
