package disk

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/test/harness"
)

// frozen is a server whose disk hangs. A store into the index of the -wal file may meet the freeze right behind the look at the pages: the
// whole process stands still then until the thaw. That is rare, and told; everything else is a fault.
type frozen struct {
	*harness.Server
	still bool // an answer did not come
}

// answered makes a request that must be answered soon although the disk hangs, and returns the answer and its detail; ok is false if
// the process stands still.
func (f *frozen) answered(t *testing.T, method, path string, body []byte, headers ...string) (a harness.Answer, detail string, ok bool) {
	t.Helper()
	if f.still {
		return a, "", false
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var payload any
	if body != nil {
		payload = body
	}
	a, err := f.Call(ctx, method, path, payload, headers...)
	if err != nil {
		t.Logf("%s %s is not answered: %v", method, path, err)
		f.still = true
		return a, "", false
	}
	var problem struct{ Detail string }
	if a.Status >= 400 {
		if err := json.Unmarshal(a.Body, &problem); err != nil {
			t.Errorf("%s %s: %q: %v", method, path, a.Body, err)
		}
	}
	return a, problem.Detail, true
}

// reads has paths answered some times, each with 200.
func (f *frozen) reads(t *testing.T, times int, paths ...string) {
	t.Helper()
	for range times {
		for _, path := range paths {
			if a, detail, ok := f.answered(t, http.MethodGet, path, nil); ok && a.Status != http.StatusOK {
				t.Errorf("%s: %d %s", path, a.Status, detail)
			}
		}
	}
}

// reached makes a request that must be answered soon.
func reached(t *testing.T, s *harness.Server, path string) (harness.Answer, string) {
	t.Helper()
	a, detail, ok := (&frozen{Server: s}).answered(t, http.MethodGet, path, nil)
	if !ok {
		t.Fatalf("%s is not answered", path)
	}
	return a, detail
}

// mostStill is how many of the freezes may stop the process. Without the look at the pages it is a quarter of them.
const mostStill = 2

// TestFrozenDisk freezes the file system under load, as for a snapshot, so that every write and sync hangs. Meanwhile nothing is
// acknowledged, intake answers 503, reads and health are answered, and memory stays bounded; thawed, all goes on by itself, and
// everything acknowledged arrives.
func TestFrozenDisk(t *testing.T) {
	t.Parallel()
	const budget = 64 << 20
	disk := newLoop(t, 256<<20)
	r := harness.NewReceiver(t, nil)
	s := harness.Start(t, disk.Data, append(settings, "--memory-budget", "64MiB")...)
	s.Subscribe(t, s.Target(t, r.URL).ID, []string{"disk.*"})
	var l ledger
	var late, refused atomic.Int64
	stop := load(t, s, &l, 4, 8<<10, func(a harness.Answer) {
		switch {
		case a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "":
			t.Errorf("status %d: %s", a.Status, a.Body)
		case strings.Contains(string(a.Body), "did not answer in time"):
			late.Add(1)
		default:
			refused.Add(1)
		}
	})
	defer func() { stop() }()
	long := 1 // one freeze lasts until what waits is given up
	if testing.Short() {
		long = -1
	}
	var peak int64
	still := 0
	for round := range 12 {
		l.grow(t, 50, "events are acknowledged")
		disk.freeze()
		f := &frozen{Server: s}
		if round < 2 {
			frozenLong(t, f, &l, round == long, &late)
			_, peak = s.Memory()
		} else { // at many moments of a commit
			f.reads(t, 3, "/webhooks/deliveries?limit=5")
		}
		disk.thaw()
		if f.still {
			still++
		}
	}
	if still > mostStill {
		t.Errorf("the process stood still in %d of 12 freezes", still)
	}
	harness.Await(t, func() string {
		a, detail := reached(t, s, "/readyz")
		return unless(a.Status == http.StatusOK, "it is ready again: "+detail)
	})
	stop()
	ids := l.ids()
	t.Logf("%d acknowledged, %d refused, %d given up after their time; peak RSS %d MiB", len(ids), refused.Load(), late.Load(), peak>>20)
	if peak > 4*budget {
		t.Errorf("peak RSS %d MiB", peak>>20)
	}
	awaitAll(t, r, ids)
	s.StopCleanly(t)
	if report, sound := check(t, disk.Data); !sound || report.Counts["events"] < int64(len(ids)) {
		t.Errorf("%d events, faults %v", report.Counts["events"], report.Faults)
	}
}

// frozenLong looks at a server whose disk hangs, until it has noticed, and if it is to last until it has given up what waited. Clients
// with large payloads come again and again meanwhile.
func frozenLong(t *testing.T, f *frozen, l *ledger, last bool, late *atomic.Int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var hogs sync.WaitGroup
	for range 8 {
		hogs.Go(func() {
			for body := make([]byte, 4<<20); ctx.Err() == nil; {
				if a, err := f.Call(ctx, http.MethodPost, "/webhooks/events", body, "Postrider-Event-Type: large.test"); err == nil && a.Status != http.StatusServiceUnavailable {
					t.Errorf("a large payload: %d %s", a.Status, a.Body)
				}
			}
		})
	}
	defer hogs.Wait()
	defer cancel()
	harness.Await(t, func() string {
		a, _, ok := f.answered(t, http.MethodGet, "/readyz", nil)
		return unless(!ok || a.Status == http.StatusServiceUnavailable && strings.Contains(string(a.Body), "the disk does not answer"), "readiness tells of the disk: "+string(a.Body))
	})
	if last {
		harness.Await(t, func() string {
			f.answered(t, http.MethodGet, "/healthz", nil) // or nobody notices that the process stands still
			return unless(f.still || late.Load() > 0, "what waits is given up")
		})
	}
	acked := len(l.ids())
	for range 5 {
		a, detail, ok := f.answered(t, http.MethodPost, "/webhooks/events", []byte("{}"), "Postrider-Event-Type: disk.refused")
		if ok && (a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || !strings.Contains(detail, "the disk does not answer") && !strings.Contains(detail, "too much")) {
			t.Errorf("intake: %d %s", a.Status, detail)
		}
		f.reads(t, 1, "/healthz", "/webhooks/targets", "/webhooks/deliveries?limit=5")
	}
	if now := len(l.ids()); now != acked {
		t.Errorf("%d events were acknowledged while nothing could be written", now-acked)
	}
}
