package sqlite_test

import (
	"testing"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/queuetest"
	"github.com/postrider/postrider/internal/sqlite"
)

func TestQueue(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, func(t *testing.T, lease time.Duration) queuetest.Harness {
		t.Helper()
		f := openFolder(t, func(o *sqlite.Options) { o.QueueLease = lease })
		return queuetest.Harness{Queue: f.db.Queue(), Fair: true, Reopen: func(t *testing.T) postrider.Queue { t.Helper(); return f.crash(t).Queue() }}
	})
}

func BenchmarkQueue(b *testing.B) {
	queuetest.Benchmark(b, func(b *testing.B) postrider.Queue { b.Helper(); return openFolder(b).db.Queue() })
}
