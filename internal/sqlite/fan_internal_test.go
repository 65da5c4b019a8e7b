package sqlite

import (
	"fmt"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// BenchmarkFanOut records deliveries of events to 500 targets, of which 100 end between two commits, as a dispatcher does.
func BenchmarkFanOut(b *testing.B) {
	const targets, group = 500, 100
	for name, late := range map[string]bool{"at once": false, "late": true} {
		b.Run(name, func(b *testing.B) {
			db := openDB(b, b.TempDir())
			db.outcomes.store.last = late // all that waits gets a row with the next group
			before := cpuTime()
			n := 0
			for b.Loop() {
				fanOutAndDeliver(b, db, n, targets, group)
				n++
			}
			b.ReportMetric(float64(cpuTime()-before)/float64(n*targets)/1000, "cpu-µs/delivery")
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n*targets), "µs/delivery")
			b.ReportMetric(float64(fileSize(b, db))/float64(n*targets), "bytes/delivery")
		})
	}
}

func fanOutAndDeliver(b *testing.B, db *DB, n, targets, group int) {
	b.Helper()
	at := time.Now()
	e := &postrider.Event{ID: fmt.Sprintf("evt_%d", n), Tenant: "acme", Type: "orders.created", AcceptedAt: at, Position: postrider.Position(fmt.Sprint(n + 1))}
	fan := postrider.Outcome{Kind: postrider.OutcomeFanOut, At: at, Tenant: e.Tenant, Event: e.Head()}
	var ends []postrider.Outcome
	for i := range targets {
		target := int64(i)*7919 + 1
		fan.Targets = append(fan.Targets, target)
		ends = append(ends, postrider.Outcome{Kind: postrider.OutcomeAttempt, At: at, Tenant: e.Tenant, Event: e.Head(), DeliveryID: postrider.NewDeliveryID(e, target),
			TargetID: target, Attempts: 1, State: postrider.StateDelivered, Attempt: &postrider.Attempt{Number: 1, StartedAt: at, Class: postrider.ClassOK, Status: 200}})
	}
	recordNow(b, db, fan)
	for ; len(ends) > 0; ends = ends[group:] {
		recordNow(b, db, ends[:group]...)
	}
}

func recordNow(b *testing.B, db *DB, outcomes ...postrider.Outcome) {
	b.Helper()
	commit, err := directOutcomes{db.outcomes}.Record(b.Context(), outcomes)
	if err == nil {
		err = commit.Wait(b.Context())
	}
	if err != nil {
		b.Fatal(err)
	}
}
