package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/stacktest"
)

// testSchema opens a database with a schema of its own.
func testSchema(t *testing.T) *Database {
	t.Helper()
	at := stacktest.Need(t, "STACK_PG", "the URL of a PostgreSQL server's superuser")
	name := fmt.Sprintf("plan_%d", time.Now().UnixNano())
	d, err := Open(t.Context(), Options{URL: at + "&pool_max_conns=4&search_path=" + name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = d.pool.Exec(context.WithoutCancel(t.Context()), "DROP SCHEMA "+name+" CASCADE")
		_ = d.Close()
	})
	return d
}

// fill makes deliveries, n on each of the last days, of 20 tenants, 100 targets and 10 types. One in 100 is exhausted, one in 200
// waits; tenant3 has exhausted ones only, tenant4 has one delivery that succeeded, and it is the oldest. The first attempt of a
// delivery is in its row; every tenth has two more.
func fill(ctx context.Context, d *Database, days, n int) error {
	for back := range days {
		at := dayOf(d.clock().AddDate(0, 0, -back))
		_, err := d.pool.Exec(ctx, `INSERT INTO deliveries
			SELECT 'tenant' || i % 20, (lpad(to_hex($1::bigint + i * $3), 12, '0') || lpad(to_hex(i::bigint * 2654435761 % 4294967296), 20, '0'))::uuid, 1000 + i % 100, 1024, $2::timestamptz,
				NULL, 0, 1, CASE WHEN i % 20 = 3 THEN 'exhausted' WHEN i % 20 = 4 AND i + $4 > 4 THEN 'cancelled' WHEN i % 100 = 7 THEN 'exhausted' WHEN i % 200 = 9 THEN 'retrying' ELSE 'delivered' END, '',
				'evt_' || $4 + i, 'core.type' || i % 10, '', '0/' || $4 + i, 1, $2, 5000, 200, 'ok', '', '\x7b7d'
			FROM generate_series(0, $5::int - 1) AS i`, at.UnixMilli(), at.Time, 86_400_000/n, (days-1-back)*n, n)
		if err == nil {
			_, err = d.pool.Exec(ctx, `INSERT INTO attempts SELECT id, k, started_at, 5000, 503, 'status', '', '' FROM deliveries, generate_series(2, 3) AS k
				WHERE target_id % 10 = 7 AND id >= $1 AND id < $2`, [16]byte(postrider.FirstDeliveryID(at.Time)), [16]byte(postrider.FirstDeliveryID(at.next().Time)))
		}
		if err != nil {
			return err
		}
	}
	for _, sql := range []string{"INSERT INTO holds VALUES (1009, 'p', 'breaker', now(), now() + interval '1 hour')", "ANALYZE deliveries", "ANALYZE attempts"} {
		if _, err := d.pool.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// plan is what EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) tells of a node.
type plan struct {
	Node     string  `json:"Node Type"`
	Relation string  `json:"Relation Name"`
	Rows     float64 `json:"Actual Rows"`
	Loops    float64 `json:"Actual Loops"`
	Removed  float64 `json:"Rows Removed by Filter"`
	Apart    float64 `json:"Rows Removed by Join Filter"`
	Hit      int     `json:"Shared Hit Blocks"`
	Read     int     `json:"Shared Read Blocks"`
	Plans    []plan  `json:"Plans"`
}

func (p *plan) walk(f func(*plan)) {
	f(p)
	for i := range p.Plans {
		p.Plans[i].walk(f)
	}
}

func explain(t *testing.T, d *Database, sql string, args ...any) (*plan, string) {
	t.Helper()
	var text string
	if err := d.pool.QueryRow(t.Context(), "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "+sql, args...).Scan(&text); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	var plans []struct{ Plan plan }
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	plans[0].Plan.walk(func(p *plan) {
		if p.Loops > 0 {
			fmt.Fprintf(&b, "%s %s rows %.0f removed %.0f blocks %d; ", p.Node, p.Relation, p.Rows*p.Loops, p.Removed*p.Loops, p.Hit+p.Read)
		}
	})
	return &plans[0].Plan, b.String()
}

// No list reads more than its page needs, whatever is asked for and of whom.
func TestStackPlans(t *testing.T) {
	t.Parallel()
	d := testSchema(t)
	if err := fill(t.Context(), d, 8, 4000); err != nil {
		t.Fatal(err)
	}
	for _, tenant := range []string{"tenant9", "tenant7", "tenant3", "tenant4", "nobody"} {
		for name, q := range queries(d.clock()) {
			l, err := newList(d.clock(), tenant, q)
			if err == nil && q.EventID != "" {
				err = d.spansOf(t.Context(), l, q.EventID)
			}
			if err != nil {
				t.Fatal(err)
			}
			if sql := l.query(d.days.span(), 51); sql != "" {
				checkPlan(t, d, tenant+": "+name, sql, l.args)
			}
			if sql := l.reached(d.days.span()); sql != "" {
				checkPlan(t, d, tenant+": "+name+", reached", sql, l.args)
			}
		}
	}
}

func checkPlan(t *testing.T, d *Database, name, sql string, args pgx.NamedArgs) {
	t.Helper()
	p, shown := explain(t, d, sql, args)
	p.walk(func(p *plan) {
		if strings.HasPrefix(p.Relation, "deliveries_2") && p.Loops > 0 && (p.Node == "Seq Scan" || p.Node == "Bitmap Heap Scan") {
			t.Errorf("%s: a %s of %s", name, p.Node, p.Relation)
		}
		if strings.Contains(p.Node, "Sort") && p.Rows > 300 {
			t.Errorf("%s: a sort of %.0f rows", name, p.Rows)
		}
		if p.Removed > looksAt {
			t.Errorf("%s: looked at %.0f rows in vain", name, p.Removed)
		}
	})
	if t.Failed() {
		t.Logf("%s: %s\n%s", name, shown, sql)
	}
}

// What of a batch is there already is found by its keys, also while the planner knows nothing of its time: an archiver that works on one
// partition of the outcome log meets the rows of another there.
func TestStackKnownPlan(t *testing.T) {
	t.Parallel()
	d := testSchema(t)
	const stored, batch = 20_000, 2_500
	at := dayOf(d.clock())
	id := func(i int) [16]byte {
		return postrider.NewDeliveryID(&postrider.Event{ID: fmt.Sprint("evt_", i), AcceptedAt: at.Add(time.Duration(i/10) * time.Millisecond)}, 1)
	}
	accepted := func(i int) time.Time { return at.Add(time.Duration(i/10) * time.Millisecond) }
	insert := func(from, to, step int) {
		t.Helper()
		var ids [][16]byte
		var times []time.Time
		for i := from; i < to; i += step {
			ids, times = append(ids, id(i)), append(times, accepted(i))
		}
		for _, sql := range []string{
			`INSERT INTO deliveries SELECT 'acme', r.id, 1, 1024, r.at, NULL, 0, 1, 'delivered', '', 'evt_' || r.id, 'core.type', '', '0/1', 1, r.at, 5000, 200, 'ok', '', '\x7b7d'
				FROM unnest($1::uuid[], $2::timestamptz[]) AS r (id, at)`,
			`INSERT INTO events SELECT ('x' || left(md5(r.id::text), 15))::bit(60)::bigint, r.at, '0/1', 1024, true, 'acme', 'evt_' || r.id, 'core.type', ''
				FROM unnest($1::uuid[], $2::timestamptz[]) AS r (id, at)`,
		} {
			if _, err := d.pool.Exec(t.Context(), sql, ids, times); err != nil {
				t.Fatal(err)
			}
		}
	}
	insert(0, stored, 1)
	for _, sql := range []string{"ANALYZE deliveries", "ANALYZE events"} {
		if _, err := d.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	insert(stored, stored+batch, 2)
	var tenants, positions []string
	var ids [][16]byte
	var keys []int64
	var times []time.Time
	for i := stored + 1; i < stored+batch; i += 2 {
		tenants, ids, keys = append(tenants, "acme"), append(ids, id(i)), append(keys, int64(i))
		times, positions = append(times, accepted(i)), append(positions, "0/1")
	}
	first, last := postrider.FirstDeliveryID(accepted(stored)), postrider.FirstDeliveryID(accepted(stored+batch))
	checkKnown(t, d, knownDeliveries, tenants, ids, [16]byte(first), [16]byte(last))
	checkKnown(t, d, knownHeads, keys, times, positions, accepted(stored), accepted(stored+batch))
	n := len(ids)
	checkKnown(t, d, mergeAttempts, tenants, ids, slices.Repeat([]int{1}, n), times, slices.Repeat([]int64{5000}, n), slices.Repeat([]int{500}, n),
		slices.Repeat([]string{"status"}, n), make([]string, n), make([][]byte, n))
}

func checkKnown(t *testing.T, d *Database, sql string, args ...any) {
	t.Helper()
	p, shown := explain(t, d, sql, args...)
	p.walk(func(p *plan) {
		if vain := (p.Removed + p.Apart) * p.Loops; vain > looksAt {
			t.Errorf("looked at %.0f rows in vain: %s\n%s", vain, shown, sql)
		}
	})
}

// queries are those that the API makes.
func queries(now time.Time) map[string]postrider.DeliveryQuery {
	since, until := now.AddDate(0, 0, -3), now.AddDate(0, 0, -2)
	return map[string]postrider.DeliveryQuery{
		"all":               {},
		"since, until":      {Since: since, Until: until},
		"delivered":         {State: postrider.StateDelivered},
		"exhausted":         {State: postrider.StateExhausted},
		"cancelled":         {State: postrider.StateCancelled},
		"pending":           {State: postrider.StatePending},
		"retrying":          {State: postrider.StateRetrying},
		"deferred":          {State: postrider.StateDeferred},
		"target":            {TargetID: 1009},
		"target, exhausted": {TargetID: 1009, State: postrider.StateExhausted},
		"target, delivered": {TargetID: 1009, State: postrider.StateDelivered},
		"target, type":      {TargetID: 1009, EventType: "core.type3"},
		"type":              {EventType: "core.type9"},
		"no such type":      {EventType: "core.none"},
		"type, exhausted":   {EventType: "core.type9", State: postrider.StateExhausted},
		"event":             {EventID: "evt_9"},
		"no such event":     {EventID: "evt_none"},
	}
}
