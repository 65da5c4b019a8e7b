package sqlite_test

import (
	"testing"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/payloadstest"
)

func TestPayloads(t *testing.T) {
	t.Parallel()
	payloadstest.Run(t, func(t *testing.T) payloadstest.Harness {
		t.Helper()
		f := openFolder(t)
		return payloadstest.Harness{Store: f.db.Payloads(), Reopen: func(t *testing.T) postrider.PayloadStore { t.Helper(); return f.crash(t).Payloads() }}
	})
}

func BenchmarkPayloads(b *testing.B) {
	payloadstest.Benchmark(b, func(b *testing.B) postrider.PayloadStore { b.Helper(); return openFolder(b).db.Payloads() })
}
