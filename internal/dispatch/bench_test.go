package dispatch_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/dispatch"
	"github.com/postrider/postrider/internal/match"
	"github.com/postrider/postrider/internal/sqlite"
)

// BenchmarkDispatch sends messages of 1 KiB from the embedded queue to targets on loopback, the receiver in this process.
func BenchmarkDispatch(b *testing.B) {
	const targets = 8
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	db, err := sqlite.Open(ctx, sqlite.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	var received atomic.Int64
	done := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if received.Add(1) == int64(b.N) {
			close(done)
		}
	}))
	defer s.Close()
	ids := subscribe(ctx, b, db.Database(), s.URL, targets)
	cache := match.New(match.Options{Feed: db.Database()})
	transport := &http.Transport{MaxIdleConnsPerHost: 600, DisableCompression: true}
	defer transport.CloseIdleConnections()
	d := dispatch.New(dispatch.Options{Queue: db.Queue(), Payloads: db.Payloads(), Events: db.Events(), Outcomes: db.Outcomes(true), Database: db.Database(),
		Cache: cache, Transport: func(bool) http.RoundTripper { return transport }, Open: func(sealed []byte, _ string) ([]byte, error) { return sealed, nil }})
	payload := strings.Repeat("x", 1<<10)
	items := make([]postrider.Item, b.N)
	for i := range items {
		e := event("t", payload)
		items[i] = postrider.Item{Pack: &postrider.Pack{Tenant: "t", Deliveries: []postrider.Delivery{deliveryOf(e, ids[i%targets])}}}
	}
	cacheDone, dispatchDone := make(chan struct{}), make(chan struct{})
	cacheCtx, endCache := context.WithCancel(context.WithoutCancel(ctx))
	go func() { defer close(cacheDone); _ = cache.Run(cacheCtx) }()
	<-cache.Ready()
	b.ReportAllocs()
	b.ResetTimer()
	go func() { defer close(dispatchDone); _ = d.Run(ctx) }()
	for len(items) > 0 {
		n := min(len(items), 100)
		if _, err := db.Queue().Put(ctx, items[:n]...); err != nil {
			b.Fatal(err)
		}
		items = items[n:]
	}
	select {
	case <-done:
	case <-time.After(time.Minute):
		b.Error(received.Load(), " received")
	}
	b.StopTimer()
	stats, err := db.Queue().Stats(ctx)
	if err != nil {
		b.Error(err)
	}
	b.ReportMetric(float64(stats[postrider.LaneRetry].Items+stats[postrider.LaneRetry].Delayed), "deferred")
	cancel()
	<-dispatchDone
	endCache()
	<-cacheDone
}

func subscribe(ctx context.Context, b *testing.B, db postrider.Database, url string, n int) (ids []int64) {
	b.Helper()
	f := &postrider.Filter{Tenant: "t", Events: []string{"*"}}
	if err := db.CreateFilter(ctx, f); err != nil {
		b.Fatal(err)
	}
	for i := range n {
		t := &postrider.Target{Tenant: "t", URL: fmt.Sprint(url, "/", i), State: postrider.TargetOn, Secrets: []postrider.Secret{{Sealed: secret(i)}}}
		if err := db.CreateTarget(ctx, t); err != nil {
			b.Fatal(err)
		}
		if err := db.CreateSubscription(ctx, &postrider.Subscription{Tenant: "t", TargetID: t.ID, FilterID: f.ID, Active: true}); err != nil {
			b.Fatal(err)
		}
		ids = append(ids, t.ID)
	}
	return ids
}
