package sqlite_test

import (
	"fmt"
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

// BenchmarkBatches measures events of 1 KiB in batches of 100.
func BenchmarkBatches(b *testing.B) {
	log, n := openFolder(b).db.Events(), 0
	for b.Loop() {
		list := make([]*postrider.Event, 100)
		for i := range list {
			n++
			list[i] = &postrider.Event{Tenant: "acme", ID: fmt.Sprintf("evt_%020d", n), Type: "core.orders.created", ContentType: "application/json",
				Payload: postrider.Payload{Bytes: make([]byte, 1<<10), Size: 1 << 10}}
		}
		commit, err := log.Append(b.Context(), list)
		if err == nil && n%1000 == 0 {
			err = commit.Wait(b.Context())
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/event")
}
