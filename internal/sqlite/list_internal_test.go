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
	for name, q := range map[string]postrider.DeliveryQuery{
		"by type":               {EventType: "rare"},
		"by type and target":    {EventType: "rare", TargetID: 7},
		"by type and delivered": {EventType: "rare", State: postrider.StateDelivered},
	} {
		found, pages := 0, 0
		for more := true; more; more = q.After != "" {
			list, next, err := db.Database().Deliveries(t.Context(), "acme", q)
			must(t, err)
			found, pages, q.After = found+len(list), pages+1, next
		}
		if found != 2 || pages != 3 {
			t.Errorf("%s: %d found in %d pages; 2 are there, among rows for 3", name, found, pages)
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
