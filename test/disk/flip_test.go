package disk

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/postrider/postrider/test/harness"
)

// TestFlippedByte changes one byte of stored payloads, which SQLite does not notice: check names them, and they are not sent, while
// others are.
func TestFlippedByte(t *testing.T) {
	t.Parallel()
	var up atomic.Bool
	r := harness.NewReceiver(t, func(*harness.Message, http.ResponseWriter) int {
		if up.Load() {
			return http.StatusOK
		}
		return http.StatusServiceUnavailable
	})
	data := t.TempDir()
	s := harness.Start(t, data, settings...)
	s.Subscribe(t, s.Target(t, r.URL).ID, []string{"*"})
	damaged := map[string]bool{}
	sound := map[string]bool{}
	for i, size := range []int{1000, 50 << 10, 600 << 10} {
		body := bytes.Repeat([]byte{'.'}, size)
		copy(body[size-100:], fmt.Sprintf("mark-%d-", i))
		damaged[s.Publish(t, "a.b", body)] = true
		sound[s.Publish(t, "a.b", bytes.Repeat([]byte{'.'}, size))] = true
	}
	s.AwaitDeliveries(t, "state=retrying", func(d []harness.Delivery) bool { return len(d) == 6 })
	s.StopCleanly(t)
	flip(t, filepath.Join(data, "postrider.db"), "mark-0-", "mark-1-", "mark-2-")
	report, ok := check(t, data)
	if ok || len(report.Faults) != 3 || strings.Count(strings.Join(report.Faults, "\n"), "its payload is not what was stored") != 3 {
		t.Errorf("check finds %q", report.Faults)
	}
	before := len(r.Messages())
	up.Store(true)
	s = harness.Start(t, data, settings...)
	r.Await(t, "the sound ones", func(m []harness.Message) bool {
		for id := range sound {
			if !arrivedAll(m, []string{id}) {
				return false
			}
		}
		return true
	})
	harness.Await(t, func() string {
		return unless(s.Metric(t, "postrider_sqlite_damaged_total") >= 5, "those in the log are tried again")
	})
	for _, m := range r.Messages()[before:] {
		if damaged[m.ID] {
			t.Errorf("%s was sent", m.ID)
		}
	}
	for _, d := range s.Deliveries(t, "") {
		if damaged[d.EventID] && d.State != "retrying" {
			t.Errorf("a damaged one is %s", d.State)
		}
	}
}

// flip changes a byte of each mark in a file, wherever it stands.
func flip(t *testing.T, path string, marks ...string) {
	t.Helper()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, mark := range marks {
		found := 0
		for at := bytes.Index(whole, []byte(mark)); at >= 0; at = bytes.Index(whole, []byte(mark)) {
			whole[at] ^= 0x20
			found++
		}
		if found == 0 {
			t.Fatalf("%s is not there", mark)
		}
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
}
