package sqlite_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

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

// BenchmarkBatches measures events of 1 KiB in batches of 100, with ids as the API makes them and such that say nothing of time.
func BenchmarkBatches(b *testing.B) {
	b.Run("ids by time", func(b *testing.B) {
		benchmarkBatches(b, func() string { return "evt_" + uuid.Must(uuid.NewV7()).String() })
	})
	b.Run("ids at random", func(b *testing.B) { benchmarkBatches(b, uuid.NewString) })
}

func benchmarkBatches(b *testing.B, id func() string) {
	b.Helper()
	log, n := openFolder(b).db.Events(), 0
	before := cpuTime()
	for b.Loop() {
		list := make([]*postrider.Event, 100)
		for i := range list {
			n++
			list[i] = &postrider.Event{Tenant: "acme", ID: id(), Type: "core.orders.created", ContentType: "application/json",
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
	b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/float64(n), "cpu-ns/event")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
