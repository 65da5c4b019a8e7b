package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/databasetest"
	"github.com/postrider/postrider/internal/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is the URL of the PostgreSQL server that tests use, or the test is skipped.
func server(tb testing.TB) string {
	tb.Helper()
	at := os.Getenv("STACK_PG")
	if at == "" {
		if os.Getenv("POSTRIDER_STACK") == "required" {
			tb.Fatal("STACK_PG is not set, and POSTRIDER_STACK=required")
		}
		tb.Skip("needs a PostgreSQL server: set STACK_PG to the URL of a superuser")
	}
	return at
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
