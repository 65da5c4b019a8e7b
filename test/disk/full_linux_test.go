package disk

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/postrider/postrider/test/harness"
)

// small mounts a file system of a size, or skips the test where that is not permitted.
func small(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size+",mode=0700"); err != nil {
		t.Skipf("a small file system can't be mounted (%v): run this test as root", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fill writes a file until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for n := 64 << 10; n > 0; {
		if _, err := f.Write(make([]byte, n)); errors.Is(err, unix.ENOSPC) {
			n /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// refusals counts the answers of a server whose disk is full: all are 503 with Retry-After.
type refusals struct{ full, other atomic.Int64 }

func (r *refusals) count(t *testing.T, a harness.Answer) {
	t.Helper()
	var problem struct{ Detail string }
	if err := json.Unmarshal(a.Body, &problem); err != nil {
		t.Errorf("answer %q: %v", a.Body, err)
	}
	switch {
	case a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "":
		t.Errorf("status %d: %s", a.Status, a.Body)
	case strings.Contains(problem.Detail, "the disk is full"):
		r.full.Add(1)
	default:
		r.other.Add(1)
		t.Logf("503: %s", problem.Detail)
	}
}

// TestFullDisk fills the disk under load: intake answers 503 with the reason and Retry-After; with space freed all goes on in the same
// process, and everything acknowledged arrives.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	data := small(t, "48m")
	r := harness.NewReceiver(t, nil)
	s := harness.Start(t, data, settings...)
	s.Subscribe(t, s.Target(t, r.URL).ID, []string{"disk.*"})
	var l ledger
	var refused refusals
	stop := load(t, s, &l, 4, 8<<10, func(a harness.Answer) { refused.count(t, a) })
	defer func() { stop() }()
	ballast := filepath.Join(data, "ballast")
	for round := range int64(3) {
		l.grow(t, 50, "events are acknowledged")
		fill(t, ballast)
		want := refused.full.Load() + 20
		harness.Await(t, func() string {
			fill(t, ballast) // what the server frees meanwhile
			return unless(refused.full.Load() >= want, "intake says that the disk is full")
		})
		if a, err := s.Call(t.Context(), http.MethodGet, "/healthz", nil); err != nil || a.Status != http.StatusOK {
			t.Errorf("round %d: healthz %d, %v", round, a.Status, err)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	}
	l.grow(t, 50, "intake goes on once there is space")
	stop()
	ids := l.ids()
	t.Logf("%d acknowledged, %d refused since the disk was full, %d for another reason", len(ids), refused.full.Load(), refused.other.Load())
	awaitAll(t, r, ids)
	awaitDelivered(t, s, len(ids))
	s.StopCleanly(t)
	if report, sound := check(t, data); !sound || report.Counts["events"] < int64(len(ids)) {
		t.Errorf("%d events, faults %v", report.Counts["events"], report.Faults)
	}
}

// TestFullDiskAtTheStart has no space for the file at the start: serve says why, and starts once there is.
func TestFullDiskAtTheStart(t *testing.T) {
	t.Parallel()
	data := small(t, "8m")
	ballast := filepath.Join(data, "ballast")
	fill(t, ballast)
	if firstWord(t, data, "full", "no space") == "" {
		t.Error("serve does not say that the disk is full")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	s := harness.Start(t, data, settings...)
	s.Publish(t, "a.b", []byte("{}"))
}
