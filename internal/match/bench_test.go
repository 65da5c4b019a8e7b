package match_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/match"
)

// A million subscriptions: 10,000 tenants, each with 10 targets, 20 filters of 3 patterns, and 100 subscriptions.
const (
	benchTenants       = 10_000
	benchTargets       = 10
	benchFilters       = 20
	benchSubscriptions = 100
)

type million struct{ *feed }

func (million) Load(_ context.Context, yield func(*postrider.Change) error) (uint64, error) {
	id := int64(1)
	for n := range benchTenants {
		tenant := fmt.Sprintf("tenant-%d", n)
		first := id
		for i := range benchTargets + benchFilters + benchSubscriptions {
			c := benchEntity(tenant, id, first, i)
			if err := yield(&c); err != nil {
				return 0, err
			}
			id++
		}
	}
	return uint64(id), nil
}

func (million) Version(context.Context) (uint64, error) { return 1_300_001, nil }

func benchEntity(tenant string, id, first int64, i int) postrider.Change {
	now := time.Now()
	switch j := i - benchTargets - benchFilters; {
	case i < benchTargets:
		c := target(tenant, id, on)
		c.Target.URL = fmt.Sprintf("https://hooks.example.com/%s/%d", tenant, id)
		c.Target.Secrets = []postrider.Secret{{Sealed: make([]byte, 61), CreatedAt: now}}
		return c
	case j < 0:
		return filter(tenant, id, fmt.Sprintf("core.orders.created.v%d", i), "core.orders.*", fmt.Sprintf("core.n%d.*", i))
	default:
		return subscription(tenant, id, first+int64(j%benchTargets), first+benchTargets+int64(j%benchFilters), true)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func loadMillion(b *testing.B) (c *match.Cache, stop func()) {
	b.Helper()
	c = match.New(match.Options{Feed: million{newFeed()}})
	ctx, cancel := contextOf(b)
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	<-c.Ready()
	return c, func() { cancel(); <-done }
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		before := heap()
		started := time.Now()
		c, stop := loadMillion(b)
		b.ReportMetric(time.Since(started).Seconds(), "s/load")
		b.ReportMetric(float64(heap()-before)/float64(c.Subscriptions()), "bytes/subscription")
		stop()
		runtime.KeepAlive(c)
	}
}

func BenchmarkMatchAmongMillion(b *testing.B) {
	c, stop := loadMillion(b)
	defer stop()
	tenants := make([]string, 1024)
	for i := range tenants {
		tenants[i] = fmt.Sprintf("tenant-%d", i*benchTenants/len(tenants))
	}
	buf := make([]match.Ref, 0, 1024)
	for name, eventType := range map[string]string{"none": "billing.invoices.paid.v1", "one filter": "core.n10.x", "all": "core.orders.created.v15"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				buf, _ = c.Match(tenants[i%len(tenants)], eventType, buf[:0])
				i++
			}
			b.ReportMetric(float64(len(buf)), "targets")
		})
	}
	b.Run("judge", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.Judge("tenant-0", 1, "core.orders.created.v15", 1)
		}
	})
}
