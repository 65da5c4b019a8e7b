package overload

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
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

// TestFlood has a tenant publish on 2,200 connections to a disk that is too slow for it: it gets 503 with Retry-After, at once; another
// tenant beside it gets none; everything accepted arrives, and afterwards the tenant that flooded is served as before.
func TestFlood(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it floods a slow disk, for a minute")
	}
	publishers := 2200
	data := t.TempDir()
	s := harness.Start(t, data, "--log-level", "error")
	r := harness.NewReceiver(t, nil)
	flood := "Postrider-Tenant: flood"
	s.Subscribe(t, s.Target(t, r.URL, flood).ID, []string{"*"}, flood)
	quiet := newProbe(t, s, "quiet")
	before := quiet.run(t, 20, 20*time.Millisecond)

	stopDisk := slowDisk(t, data, 3*time.Second, 500*time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	var refused, wrong atomic.Int64
	var mu sync.Mutex
	accepted, slowest := map[string]bool{}, time.Duration(0)
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				id := fmt.Sprintf("f%d-%d", p, n)
				start := time.Now()
				status, retryAfter, err := publish(ctx, s, "flood", "a.b", id, make([]byte, 1000))
				switch {
				case err != nil: // the test is over, or there was no place for the connection
				case status == http.StatusAccepted:
					mu.Lock()
					accepted[id] = true
					mu.Unlock()
				case status == http.StatusServiceUnavailable && retryAfter != "":
					refused.Add(1)
					took := time.Since(start)
					mu.Lock()
					slowest = max(slowest, took)
					mu.Unlock()
					pause(ctx, time.Second) // as it was told
				default:
					wrong.Add(1)
				}
			}
		})
	}
	harness.Await(t, func() string {
		if refused.Load() == 0 {
			return "nothing is refused"
		}
		return ""
	})
	during := quiet.run(t, 10, 50*time.Millisecond)
	cancel()
	wg.Wait()
	stopDisk()
	if wrong.Load() > 0 {
		t.Errorf("%d answers are neither 202 nor 503 with Retry-After", wrong.Load())
	}
	t.Logf("flood: %d accepted, %d refused, the slowest refusal within %v; the quiet tenant: p99 %v before, %v during", len(accepted), refused.Load(),
		slowest.Round(time.Millisecond), before.Round(time.Millisecond), during.Round(time.Millisecond))
	for i := range 100 {
		id := fmt.Sprintf("after-%d", i)
		if status, _, err := publish(t.Context(), s, "flood", "a.b", id, []byte("{}")); err != nil || status != http.StatusAccepted {
			t.Fatalf("after the flood: status %d, %v", status, err)
		}
		accepted[id] = true
	}
	r.Await(t, "everything accepted", func(messages []harness.Message) bool {
		seen := map[string]bool{}
		for _, m := range messages {
			seen[m.ID] = true
		}
		for id := range accepted {
			if !seen[id] {
				return false
			}
		}
		return true
	})
	t.Logf("afterwards the quiet tenant: p99 %v", quiet.run(t, 20, 20*time.Millisecond).Round(time.Millisecond))
}
