package sqlite

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// publishAndDeliver appends events and records their fan-outs and attempts, as roles do for those that succeed at once.
func publishAndDeliver(tb testing.TB, db *DB, from, n int) {
	tb.Helper()
	wait := func(c *postrider.Commit, err error) {
		tb.Helper()
		if err == nil {
			err = c.Wait(context.Background())
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	payload := make([]byte, 1<<10)
	events := make([]*postrider.Event, n)
	for i := range events {
		events[i] = &postrider.Event{Tenant: "acme", ID: fmt.Sprint("event-", from+i), Type: "orders.created", Payload: postrider.Payload{Size: 1 << 10, Bytes: payload}}
	}
	wait(db.Events().Append(context.Background(), events))
	var fans, attempts []postrider.Outcome
	for _, e := range events {
		fans = append(fans, postrider.Outcome{Kind: postrider.OutcomeFanOut, At: time.Now(), Tenant: e.Tenant, Event: e.Head(), Targets: []int64{7}})
		attempts = append(attempts, postrider.Outcome{Kind: postrider.OutcomeAttempt, At: time.Now(), Tenant: e.Tenant, Event: e.Head(), TargetID: 7,
			DeliveryID: postrider.NewDeliveryID(e, 7), State: postrider.StateDelivered, Attempts: 1,
			Attempt: &postrider.Attempt{Number: 1, StartedAt: time.Now(), Status: 200, Class: postrider.ClassOK}})
	}
	wait(db.Outcomes(true).Record(context.Background(), fans))
	wait(db.Outcomes(true).Record(context.Background(), attempts))
}

// TestHeadsOfTheOwnLog finds events by their log, without heads.
func TestHeadsOfTheOwnLog(t *testing.T) {
	t.Parallel()
	db := openDB(t, t.TempDir())
	r, err := db.Events().Reader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	publishAndDeliver(t, db, 0, 3)
	if n := rowsIn(t, db, "event_heads"); n != 0 {
		t.Errorf("%d heads are stored besides the log", n)
	}
	if _, err := db.Database().EventRecord(t.Context(), "acme", "event-1"); postrider.CodeOf(err) != postrider.CodeNotFound {
		t.Errorf("an event that is not dealt with: %v", err)
	}
	b, err := r.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.Commit(b)
	got, err := db.Database().EventRecord(t.Context(), "acme", "event-1")
	if err != nil || got.ID != "event-1" || got.Position != "2" || got.Size != 1<<10 || got.Type != "orders.created" || got.AcceptedAt.IsZero() {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := db.Database().EventRecord(t.Context(), "globex", "event-1"); postrider.CodeOf(err) != postrider.CodeNotFound {
		t.Errorf("another tenant's event: %v", err)
	}
	list, _, err := db.Database().Deliveries(t.Context(), "acme", postrider.DeliveryQuery{EventID: "event-2"})
	if err != nil || len(list) != 1 || list[0].State != postrider.StateDelivered {
		t.Errorf("got %+v, %v", list, err)
	}
}

// BenchmarkDelivered tells the CPU time that the file takes for an event that is delivered, in groups of 32: at once, and after its
// delivery was given a row.
func BenchmarkDelivered(b *testing.B) {
	b.Run("at once", func(b *testing.B) { benchmarkDelivered(b, false) })
	b.Run("late", func(b *testing.B) { benchmarkDelivered(b, true) })
}

func benchmarkDelivered(b *testing.B, late bool) {
	b.Helper()
	db := openDB(b, b.TempDir())
	db.outcomes.store.last = late // all that waits gets a row with the next group
	before := cpuTime()
	n := 0
	for b.Loop() {
		publishAndDeliver(b, db, n, 32)
		n += 32
	}
	b.ReportMetric(float64(cpuTime()-before)/float64(n)/1000, "cpu-µs/event")
	b.ReportMetric(float64(fileSize(b, db))/float64(n), "bytes/event")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func fileSize(b *testing.B, db *DB) (n int64) {
	b.Helper()
	if err := db.read.QueryRow("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").Scan(&n); err != nil {
		b.Fatal(err)
	}
	return n
}
