package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/databasetest"
	"github.com/postrider/postrider/internal/postgres"
	"github.com/postrider/postrider/internal/stacktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is the URL of the PostgreSQL server that tests use, or the test is skipped.
func server(tb testing.TB) string {
	tb.Helper()
	return stacktest.Need(tb, "STACK_PG", "the URL of a PostgreSQL server's superuser")
}

var schemas atomic.Int64

// newSchema is a URL with a schema of the test's own, which is dropped when the test ends.
func newSchema(tb testing.TB) string {
	tb.Helper()
	at := server(tb)
	name := fmt.Sprintf("test_%d_%d_%d", os.Getpid(), time.Now().Unix(), schemas.Add(1))
	tb.Cleanup(func() { run(tb, at, "DROP SCHEMA IF EXISTS "+name+" CASCADE") })
	return with(at, "search_path="+name)
}

// with adds parameters to a URL.
func with(at, parameters string) string {
	if strings.Contains(at, "?") {
		return at + "&" + parameters
	}
	return at + "?" + parameters
}

// run runs statements on a connection of their own.
func run(tb testing.TB, at string, statements ...string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, at)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			tb.Fatalf("%s: %v", s, err)
		}
	}
}

func open(tb testing.TB, at string) *postgres.Database {
	tb.Helper()
	d, err := postgres.Open(tb.Context(), postgres.Options{URL: with(at, "pool_max_conns=4"), Instance: databasetest.Instance, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = d.Close() })
	return d
}

func TestStackDatabase(t *testing.T) {
	t.Parallel()
	server(t)
	databasetest.Run(t, func(t *testing.T) databasetest.Harness {
		t.Helper()
		at := newSchema(t)
		d := open(t, at)
		return databasetest.Harness{Database: d, Reopen: func(t *testing.T) postrider.Database {
			t.Helper()
			_ = d.Close()
			return open(t, at)
		}}
	})
}

func BenchmarkStackDatabase(b *testing.B) {
	databasetest.Benchmark(b, func(b *testing.B) postrider.Database { b.Helper(); return open(b, newSchema(b)) })
}

// hostOf is the host and port of a URL.
func hostOf(t *testing.T, at string) string {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// Many processes that start at once make one schema.
func TestStackManyOpen(t *testing.T) {
	t.Parallel()
	at := newSchema(t)
	var work sync.WaitGroup
	for range 6 {
		work.Go(func() {
			d, err := postgres.Open(t.Context(), postgres.Options{URL: with(at, "pool_max_conns=2"), Registerer: prometheus.NewRegistry()})
			if err != nil {
				t.Error(err)
				return
			}
			defer d.Close()
			if _, err := d.Version(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
}

// Of several processes one replays a generation, while they clear up what is long over.
func TestStackOneReplay(t *testing.T) {
	t.Parallel()
	at := newSchema(t)
	processes := []*postgres.Database{open(t, at), open(t, at), open(t, at)}
	begin := func(d *postgres.Database, n byte, generation int, until time.Time) bool {
		free, err := d.BeginReplay(t.Context(), postrider.DeliveryID{n}, generation, until)
		if err != nil {
			t.Error(err)
		}
		return free
	}
	for generation := range 5 {
		var work sync.WaitGroup
		var free [20]atomic.Int64
		for _, d := range processes {
			for n := range free {
				work.Go(func() {
					if begin(d, byte(n), generation, time.Now().Add(time.Hour)) {
						free[n].Add(1)
					}
					begin(d, byte(100+n), generation, time.Now().Add(-time.Hour))
				})
			}
		}
		work.Wait()
		for n := range free {
			if free[n].Load() != 1 {
				t.Errorf("%d processes replay generation %d of delivery %d", free[n].Load(), generation, n)
			}
		}
	}
	begin(processes[0], 0, 5, time.Now().Add(time.Hour))
	run(t, at, "DO $$ BEGIN ASSERT (SELECT count(*) FROM replays) = 20, 'what is over is kept'; END $$")
}

// A schema may have any name.
func TestStackOddSchema(t *testing.T) {
	t.Parallel()
	at := newSchema(t)
	name := at[strings.LastIndex(at, "=")+1:] + ` The "2nd"`
	quoted := pgx.Identifier{name}.Sanitize()
	t.Cleanup(func() { run(t, server(t), "DROP SCHEMA IF EXISTS "+quoted+" CASCADE") })
	for range 2 {
		d := open(t, with(server(t), "search_path="+url.PathEscape(quoted)))
		if err := d.CreateFilter(t.Context(), &postrider.Filter{Tenant: "acme", Events: []string{"a"}}); err != nil {
			t.Error(err)
		}
		_ = d.Close()
	}
}

// A schema of a later version is refused.
func TestStackLaterSchema(t *testing.T) {
	t.Parallel()
	at := newSchema(t)
	_ = open(t, at).Close()
	run(t, at, "INSERT INTO schema_versions (version_id, is_applied) VALUES (99, true)")
	_, err := postgres.Open(t.Context(), postgres.Options{URL: at})
	if postrider.CodeOf(err) != postrider.CodeConflict || !strings.Contains(err.Error(), "later version") {
		t.Errorf("got %v", err)
	}
}

// A login that may not change the schema does all but that.
func TestStackLeastRights(t *testing.T) {
	t.Parallel()
	at := newSchema(t)
	_ = open(t, at).Close()
	schema := at[strings.LastIndex(at, "=")+1:]
	role := schema + "_app"
	run(t, at, "CREATE ROLE "+role+" LOGIN", "GRANT USAGE ON SCHEMA "+schema+" TO "+role,
		"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "+schema+" TO "+role)
	t.Cleanup(func() { run(t, server(t), "DROP OWNED BY "+role, "DROP ROLE "+role) })
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(role)
	d := open(t, u.String())
	target := &postrider.Target{Tenant: "acme", URL: "https://example.com"}
	if err := d.CreateTarget(t.Context(), target); err != nil {
		t.Error(err)
	}
	e := &postrider.Event{ID: "evt_1", Tenant: "acme", Type: "core.a", AcceptedAt: time.Now(), Position: "1"}
	err = d.Archive(t.Context(), &postrider.OutcomeBatch{Outcomes: []postrider.Outcome{{Kind: postrider.OutcomeFanOut, At: time.Now(), Tenant: "acme", Event: e.Head(), Targets: []int64{target.ID}}}})
	if err != nil {
		t.Error(err)
	}
	if _, err := d.Delivery(t.Context(), "acme", postrider.NewDeliveryID(e, target.ID)); err != nil {
		t.Error(err)
	}
}
