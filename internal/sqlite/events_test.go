package sqlite_test

import (
	"testing"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/eventstest"
)

func TestEvents(t *testing.T) {
	t.Parallel()
	eventstest.Run(t, func(t *testing.T) eventstest.Harness {
		t.Helper()
		f := openFolder(t)
		return eventstest.Harness{Log: f.db.Events(), Reopen: func(t *testing.T) postrider.EventLog { t.Helper(); return f.crash(t).Events() }}
	})
}

func BenchmarkEvents(b *testing.B) {
	eventstest.Benchmark(b, func(b *testing.B) postrider.EventLog { b.Helper(); return openFolder(b).db.Events() })
}
