package sqlite

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider"
)

// TestPendingIsSeen: a delivery that is merely pending has a row within a second, whatever else is written meanwhile.
func TestPendingIsSeen(t *testing.T) {
	t.Parallel()
	for name, others := range map[string][]time.Duration{
		"nothing else is written":      nil,
		"something else just before":   {rowDelay - time.Millisecond},
		"something else now and again": {100 * time.Millisecond, 300 * time.Millisecond, 300 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				db := openDB(t, t.TempDir())
				event := postrider.Event{ID: "event", Tenant: "acme", Type: "orders.created", Position: "1", AcceptedAt: time.Now()}
				o := postrider.Outcome{At: time.Now(), Tenant: "acme", Event: event.Head(), Kind: postrider.OutcomeFanOut,
					Targets: []int64{7}}
				begun := time.Now()
				commit, err := directOutcomes{db.outcomes}.Record(t.Context(), []postrider.Outcome{o})
				must(t, err)
				must(t, commit.Wait(t.Context()))
				for _, pause := range others {
					time.Sleep(pause)
					must(t, db.writer.do(context.Background(), func(*tx) error { return nil }))
				}
				time.Sleep(time.Second - time.Since(begun))
				synctest.Wait()
				if n := shown(t, db); len(n) != 1 {
					t.Errorf("%d deliveries are seen after a second", len(n))
				}
				must(t, db.Close())
			})
		})
	}
}
