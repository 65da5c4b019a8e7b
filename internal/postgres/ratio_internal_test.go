package postgres

import (
	"context"
	"fmt"
	"os"
	"sort"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider/postrider"
)

// usual makes the outcomes of n deliveries that succeed at once, one an event, from the i-th on.
func usual(i, n int) []postrider.Outcome {
	now := time.Now().UTC().Truncate(time.Millisecond)
	var list []postrider.Outcome
	for ; n > 0; n, i = n-1, i+1 {
		e := &postrider.Event{ID: fmt.Sprintf("evt_%024d", i), Tenant: fmt.Sprintf("tenant%d", i%50), Type: fmt.Sprintf("core.orders.created%d.v1", i%20), AcceptedAt: now,
			ContentType: "application/json", Position: postrider.Position(fmt.Sprintf("%d/%d/1767323045000", i%12, i)), Payload: postrider.Payload{Size: 1024}}
		target := int64(1000 + i%200)
		list = append(list,
			postrider.Outcome{Kind: postrider.OutcomeFanOut, At: now, Tenant: e.Tenant, Event: e.Head(), Targets: []int64{target}},
			postrider.Outcome{Kind: postrider.OutcomeAttempt, At: now.Add(50 * time.Millisecond), Tenant: e.Tenant, Event: e.Head(), DeliveryID: postrider.NewDeliveryID(e, target),
				TargetID: target, Attempts: 1, State: postrider.StateDelivered, Attempt: &postrider.Attempt{Number: 1, StartedAt: now.Add(20 * time.Millisecond),
					Duration: 30 * time.Millisecond, Class: postrider.ClassOK, Status: 200, Head: []byte(`{"ok":true}`)}})
	}
	return list
}

// benchSchema opens a database with a schema of its own.
func benchSchema(b *testing.B, name string) *Database {
	b.Helper()
	at := os.Getenv("STACK_PG")
	if at == "" {
		b.Skip("needs a PostgreSQL server: set STACK_PG to the URL of a superuser")
	}
	name = fmt.Sprintf("bench_%s_%d", name, time.Now().UnixNano())
	d, err := Open(b.Context(), Options{URL: at + "&pool_max_conns=2&statement_timeout=0&search_path=" + name})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_, _ = d.pool.Exec(context.WithoutCancel(b.Context()), "DROP SCHEMA "+name+" CASCADE")
		_ = d.Close()
	})
	return d
}

// BenchmarkStackArchive measures Archive of the usual course against a bare COPY of the same rows into the same indexed tables,
// batch by batch in turns. It reports the median of both and their ratio.
func BenchmarkStackArchive(b *testing.B) {
	archived, copied := benchSchema(b, "archive"), benchSchema(b, "copy")
	const batch = 2500
	var ours, bare []float64
	for i := range b.N {
		list := usual(i*batch, batch)
		begun := time.Now()
		if err := archived.Archive(b.Context(), &postrider.OutcomeBatch{Partition: "0", End: "1", Through: begun, Outcomes: list}); err != nil {
			b.Fatal(err)
		}
		ours = append(ours, time.Since(begun).Seconds())
		s := stage(list)
		begun = time.Now()
		err := pgx.BeginFunc(b.Context(), copied.pool, func(tx pgx.Tx) error { return copied.copy(b.Context(), tx, s.rows, s.heads) })
		if err != nil {
			b.Fatal(err)
		}
		bare = append(bare, time.Since(begun).Seconds())
	}
	sort.Float64s(ours)
	sort.Float64s(bare)
	o, c := ours[len(ours)/2], bare[len(bare)/2]
	b.ReportMetric(batch/o, "attempts/s")
	b.ReportMetric(batch/c, "copied/s")
	b.ReportMetric(c/o, "ratio")
	b.ReportMetric(archived.bytes(b, "deliveries")/float64(batch*b.N), "bytes/delivery")
	b.ReportMetric(archived.bytes(b, "events")/float64(batch*b.N), "bytes/event")
}

// bytes is what a table takes, with its indexes.
func (d *Database) bytes(b *testing.B, table string) float64 {
	b.Helper()
	var n int64
	if err := d.pool.QueryRow(b.Context(), "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree($1::text::regclass)", table).Scan(&n); err != nil {
		b.Fatal(err)
	}
	return float64(n)
}
