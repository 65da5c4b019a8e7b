// Package disk gives the real binary disks that are full, slow, damaged, or that it was cut off from, and restores copies.
package disk

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/postrider/postrider/test/harness"
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(harness.Main(m))
}

// settings keep retries short.
var settings = []string{"--retry-base", "100ms", "--retry-max", "500ms", "--log-level", "warn"}

// report is what postrider check prints.
type report struct {
	Counts map[string]int64
	Faults []string
}

// check runs postrider check and returns its report, and whether it found the folder sound.
func check(t *testing.T, dir string) (r report, sound bool) {
	t.Helper()
	cmd := harness.Command(t.Context(), "check", "--data", dir, "--json")
	out, err := cmd.Output()
	if len(out) > 0 {
		if err := json.Unmarshal(out, &r); err != nil {
			t.Fatalf("check printed %q: %v", out, err)
		}
	}
	if (err == nil) != (len(r.Faults) == 0 && len(out) > 0) {
		t.Fatalf("check ended with %v and found %v", err, r.Faults)
	}
	return r, err == nil
}

// copyData copies the file of a data folder as it is on the disk, and the keys, to a new folder.
func copyData(t *testing.T, from string) (to string) {
	t.Helper()
	to = t.TempDir()
	for _, name := range []string{"postrider.db", "postrider.db-wal", "admin.key", "secret.key"} {
		copyFile(t, filepath.Join(from, name), filepath.Join(to, name))
	}
	return to
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if os.IsNotExist(err) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
}

// ledger is what was acknowledged.
type ledger struct {
	mu    sync.Mutex
	acked []string
}

func (l *ledger) add(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked = append(l.acked, id)
}

// ids returns what is acknowledged so far.
func (l *ledger) ids() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.acked...)
}

// grow waits until n more are acknowledged.
func (l *ledger) grow(t *testing.T, n int, what string) {
	t.Helper()
	want := len(l.ids()) + n
	harness.Await(t, func() string { return unless(len(l.ids()) >= want, what) })
}

// load publishes events of up to most bytes with some publishers, until stop is called. Answers that are not 202 go to refused, if
// that is not nil.
func load(t *testing.T, s *harness.Server, l *ledger, publishers, most int, refused func(harness.Answer)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				id := fmt.Sprintf("%s-%d-%d", filepath.Base(s.Data), p, len(l.ids())*1000+n)
				body := make([]byte, 1+rand.IntN(most))
				for i := range body {
					body[i] = byte(rand.Uint32())
				}
				a, err := s.Call(ctx, http.MethodPost, "/webhooks/events", body, "Postrider-Event-Type: disk.test", "Postrider-Event-Id: "+id)
				switch {
				case err != nil: // the server or the test is gone
				case a.Status == http.StatusAccepted:
					l.add(id)
				case refused != nil:
					refused(a)
				default:
					t.Errorf("status %d: %s", a.Status, a.Body)
				}
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

// awaitAll waits until all that was acknowledged is taken by the receiver.
func awaitAll(t *testing.T, r *harness.Receiver, ids []string) {
	t.Helper()
	r.Await(t, "everything acknowledged", func(m []harness.Message) bool { return arrivedAll(m, ids) })
}

// awaitDelivered waits until at least n deliveries are shown, all as delivered.
func awaitDelivered(t *testing.T, s *harness.Server, n int) {
	t.Helper()
	s.AwaitDeliveries(t, "", func(list []harness.Delivery) bool {
		for _, d := range list {
			if d.State != "delivered" {
				return false
			}
		}
		return len(list) >= n
	})
}

// arrivedAll reports whether every id was taken by the receiver.
func arrivedAll(messages []harness.Message, ids []string) bool { return missing(messages, ids) == 0 }

func missing(messages []harness.Message, ids []string) int {
	taken := map[string]bool{}
	for _, m := range messages {
		taken[m.ID] = taken[m.ID] || m.Status == http.StatusOK
	}
	n := 0
	for _, id := range ids {
		if !taken[id] {
			n++
		}
	}
	return n
}

// unless makes a check for harness.Await.
func unless(done bool, what string) string {
	if done {
		return ""
	}
	return "it does not come about that " + what
}
