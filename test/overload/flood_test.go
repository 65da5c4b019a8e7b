package overload

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver, in pure Go

	"github.com/postrider/postrider/test/harness"
)

// slowDisk makes the disk of a folder slow until stop is called: another connection holds the file's lock for most of the time.
func slowDisk(t *testing.T, data string, held, free time.Duration) (stop func()) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(data, "postrider.db")+"?_pragma=busy_timeout(20000)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			if _, err := db.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
				continue
			}
			pause(ctx, held)
			_, _ = db.ExecContext(t.Context(), "ROLLBACK") // it wrote nothing
			pause(ctx, free)
		}
	})
	return func() { cancel(); wg.Wait(); db.Close() }
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// A flood is what many publishers of one tenant get for publishing as fast as they can.
type flood struct {
	s      *harness.Server
	tenant string

	mu             sync.Mutex
	accepted       map[string]bool // by event id
	slowest        time.Duration   // of the refusals
	refused, wrong atomic.Int64    // 503 with Retry-After; neither that nor 202
}

// run publishes on so many connections until stop is called.
func (f *flood) run(t *testing.T, publishers int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				f.publish(ctx, fmt.Sprintf("f%d-%d", p, n))
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

func (f *flood) publish(ctx context.Context, id string) {
	start := time.Now()
	status, retryAfter, err := publish(ctx, f.s, f.tenant, "a.b", id, make([]byte, 1000))
	switch {
	case err != nil: // the test is over, or there was no place for the connection
	case status == http.StatusAccepted:
		f.mu.Lock()
		f.accepted[id] = true
		f.mu.Unlock()
	case status == http.StatusServiceUnavailable && retryAfter != "":
		took := time.Since(start)
		f.refused.Add(1)
		f.mu.Lock()
		f.slowest = max(f.slowest, took)
		f.mu.Unlock()
		pause(ctx, time.Second) // as it was told
	default:
		f.wrong.Add(1)
	}
}

// awaitAccepted waits until all that was accepted has arrived; the flood has stopped.
func (f *flood) awaitAccepted(t *testing.T, r *harness.Receiver) {
	t.Helper()
	r.Await(t, "everything accepted", func(messages []harness.Message) bool {
		seen := map[string]bool{}
		for _, m := range messages {
			seen[m.ID] = true
		}
		for id := range f.accepted {
			if !seen[id] {
				return false
			}
		}
		return true
	})
}

// TestFlood has a tenant publish on 2,200 connections to a disk that is too slow for it: it gets 503 with Retry-After, at once; another
// tenant beside it gets none; everything accepted arrives, and afterwards the tenant that flooded is served as before.
func TestFlood(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it floods a slow disk, for a minute")
	}
	data := t.TempDir()
	s := harness.Start(t, data, "--log-level", "error")
	r := harness.NewReceiver(t, nil)
	as := "Postrider-Tenant: flood"
	s.Subscribe(t, s.Target(t, r.URL, as).ID, []string{"*"}, as)
	quiet := newProbe(t, s, "quiet")
	before := quiet.run(t, 20, 20*time.Millisecond)

	stopDisk := slowDisk(t, data, 3*time.Second, 500*time.Millisecond)
	f := &flood{s: s, tenant: "flood", accepted: map[string]bool{}}
	stop := f.run(t, 2200)
	harness.Await(t, func() string {
		if f.refused.Load() == 0 {
			return "nothing is refused"
		}
		return ""
	})
	during := quiet.run(t, 10, 50*time.Millisecond)
	stop()
	stopDisk()
	if f.wrong.Load() > 0 {
		t.Errorf("%d answers are neither 202 nor 503 with Retry-After", f.wrong.Load())
	}
	t.Logf("flood: %d accepted, %d refused, the slowest refusal within %v; the quiet tenant: p99 %v before, %v during", len(f.accepted), f.refused.Load(),
		f.slowest.Round(time.Millisecond), before.Round(time.Millisecond), during.Round(time.Millisecond))
	for i := range 100 {
		id := fmt.Sprintf("after-%d", i)
		if status, _, err := publish(t.Context(), s, "flood", "a.b", id, []byte("{}")); err != nil || status != http.StatusAccepted {
			t.Fatalf("after the flood: status %d, %v", status, err)
		}
		f.accepted[id] = true
	}
	f.awaitAccepted(t, r)
	t.Logf("afterwards the quiet tenant: p99 %v", quiet.run(t, 20, 20*time.Millisecond).Round(time.Millisecond))
}

// TestFloodByBatch has a tenant publish 100,000 events by batch, far faster than they are matched, and then another tenant one event: it
// is matched before those that came before it.
func TestFloodByBatch(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it floods")
	}
	for name, flood := range map[string]struct{ targets, batches, size int }{
		"of one target": {1, 100, 1000}, "of 500 targets": {500, 1, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			s := harness.Start(t, t.TempDir(), "--log-level", "error")
			target := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
			t.Cleanup(target.Close)
			for i := range flood.targets {
				as := "Postrider-Tenant: flood"
				s.Subscribe(t, s.Target(t, fmt.Sprint(target.URL, "/", i), as).ID, []string{"*"}, as)
			}
			quiet := newProbe(t, s, "quiet")
			before := quiet.run(t, 20, 20*time.Millisecond)
			var wg sync.WaitGroup
			for range min(flood.batches, 4) {
				wg.Go(func() {
					for range max(flood.batches/4, 1) {
						if status, err := publishBatch(t.Context(), s, "flood", "a.b", flood.size); err != nil || status != http.StatusAccepted {
							t.Errorf("status %d of a batch, %v", status, err)
						}
					}
				})
			}
			wg.Wait()
			took := quiet.run(t, 1, time.Millisecond)
			queued, all := s.Metric(t, "postrider_deliveries_queued_total"), flood.targets*flood.batches*flood.size
			t.Logf("the quiet tenant: p99 %v before, its event %v behind the flood; %v of %d deliveries were queued then", before.Round(100*time.Microsecond),
				took.Round(100*time.Microsecond), queued, all)
		})
	}
}
