package overload

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/test/harness"
)

// trouble starts what hurts a server, until stop.
type trouble func(ctx context.Context, t *testing.T, s *harness.Server) (stop func())

// hanging answers nothing until the other side gives up.
func hanging(t *testing.T) *harness.Receiver {
	t.Helper()
	return harness.NewReceiver(t, func(m *harness.Message, _ http.ResponseWriter) int {
		<-m.Gone
		return http.StatusOK
	})
}

// hangsAtHalf publishes as many events to a target that hangs as the probe does to its own, as the same tenant.
func hangsAtHalf(ctx context.Context, t *testing.T, s *harness.Server) func() {
	t.Helper()
	as := "Postrider-Tenant: probe"
	s.Subscribe(t, s.Target(t, hanging(t).URL, as).ID, []string{"hang.*"}, as)
	return paced(ctx, s, "probe", "hang.a", 20*time.Millisecond)
}

// fiftyHang has another tenant with 50 targets that hang, and an event to all of them every 100 ms.
func fiftyHang(ctx context.Context, t *testing.T, s *harness.Server) func() {
	t.Helper()
	as := "Postrider-Tenant: other"
	url := hanging(t).URL
	for i := range 50 {
		s.Subscribe(t, s.Target(t, fmt.Sprintf("%s/%d", url, i), as).ID, []string{"hang.*"}, as)
	}
	return paced(ctx, s, "other", "hang.a", 100*time.Millisecond)
}

// burst has another tenant publish 50,000 events at once to a target that takes 100 ms for each.
func burst(ctx context.Context, t *testing.T, s *harness.Server) func() {
	t.Helper()
	as := "Postrider-Tenant: other"
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { // keeps nothing: its garbage would be in the way of what is measured
		_, _ = io.Copy(io.Discard, r.Body)
		<-time.After(100 * time.Millisecond)
	}))
	t.Cleanup(slow.Close)
	s.Subscribe(t, s.Target(t, slow.URL, as).ID, []string{"*"}, as)
	for range 50 {
		if status, err := publishBatch(ctx, s, "other", "burst.a", 1000); err != nil || status != http.StatusAccepted {
			t.Fatalf("status %d of a batch, %v", status, err)
		}
	}
	return func() {}
}

// paced publishes at an even pace until stop is called or ctx ends.
func paced(ctx context.Context, s *harness.Server, tenant, kind string, every time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			wg.Go(func() { _, _, _ = publish(ctx, s, tenant, kind, fmt.Sprintf("%s-%d", kind[:4], n), []byte("{}")) }) // it is no part of what is looked at
		}
	})
	return func() { cancel(); wg.Wait() }
}

// TestTroubleOfOthers measures a probe on two servers in turn, of which one is in trouble. Whatever the probe publishes is taken and
// arrives; the ratio of its p99 with and without the trouble is held where it is measured.
func TestTroubleOfOthers(t *testing.T) { //nolint:paralleltest // it measures
	if testing.Short() {
		t.Skip("it measures, for a minute")
	}
	for name, begin := range map[string]trouble{"a target that hangs at half of the traffic": hangsAtHalf, "a tenant with 50 targets that hang": fiftyHang,
		"50,000 events to a slow target": burst} {
		t.Run(name, func(t *testing.T) {
			well, hurt := harness.Start(t, t.TempDir(), "--timeout", "5s", "--log-level", "error"), harness.Start(t, t.TempDir(), "--timeout", "5s", "--log-level", "error")
			without, with := newProbe(t, well, "probe"), newProbe(t, hurt, "probe")
			without.run(t, 20, 20*time.Millisecond) // warm
			with.run(t, 20, 20*time.Millisecond)
			stop := begin(t.Context(), t, hurt)
			var ratios []float64
			samples := 100
			if harness.Measures() {
				samples = 500 // the p99 is no single event then
			}
			for range 5 {
				a := without.run(t, samples, 20*time.Millisecond)
				b := with.run(t, samples, 20*time.Millisecond)
				ratios = append(ratios, float64(b)/float64(a))
				t.Logf("p99 %v without, %v with", a.Round(100*time.Microsecond), b.Round(100*time.Microsecond))
			}
			t.Logf("the server in trouble, so far: %s", figures(t, hurt, "process_cpu_seconds_total", "postrider_deferred_total", "postrider_attempts_total", "postrider_queue_items"))
			stop()
			harness.Hold(t, name+": p99", ratios, 2)
		})
	}
}

// figures are some of a server's metrics.
func figures(t *testing.T, s *harness.Server, names ...string) string {
	t.Helper()
	var found []string
	for line := range strings.Lines(string(s.Do(t, http.StatusOK, http.MethodGet, "/metrics", nil, nil).Body)) {
		for _, name := range names {
			if strings.HasPrefix(line, name) {
				found = append(found, strings.TrimSpace(line))
			}
		}
	}
	return strings.Join(found, ", ")
}
