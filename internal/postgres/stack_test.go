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
func server(t testing.TB) string {
	t.Helper()
	at := os.Getenv("STACK_PG")
	if at == "" {
		if os.Getenv("POSTRIDER_STACK") == "required" {
			t.Fatal("STACK_PG is not set, and POSTRIDER_STACK=required")
		}
		t.Skip("needs a PostgreSQL server: set STACK_PG to the URL of a superuser")
	}
	return at
}

var schemas atomic.Int64

// newSchema is a URL with a schema of the test's own, which is dropped when the test ends.
func newSchema(t testing.TB) string {
	t.Helper()
	at := server(t)
	name := fmt.Sprintf("test_%d_%d_%d", os.Getpid(), time.Now().Unix(), schemas.Add(1))
	t.Cleanup(func() { run(t, at, "DROP SCHEMA IF EXISTS "+name+" CASCADE") })
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
func run(t testing.TB, at string, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func open(t testing.TB, at string) *postgres.Database {
	t.Helper()
	d, err := postgres.Open(t.Context(), postgres.Options{URL: with(at, "pool_max_conns=4"), Instance: databasetest.Instance, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
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
