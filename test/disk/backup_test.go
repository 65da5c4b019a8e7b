package disk

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/postrider/postrider/test/harness"
)

// TestBackupOfALiveFolder copies a folder under load, kills the server, and starts on the copy: what was acknowledged before the
// copy arrives at least once, and what was delivered is known.
func TestBackupOfALiveFolder(t *testing.T) {
	t.Parallel()
	var up atomic.Bool
	r := harness.NewReceiver(t, func(m *harness.Message, _ http.ResponseWriter) int {
		if up.Load() || m.ID[len(m.ID)-1]%2 == 0 {
			return http.StatusOK
		}
		return http.StatusServiceUnavailable // so that retries wait when the copy is made
	})
	data := t.TempDir()
	s := harness.Start(t, data, settings...)
	s.Subscribe(t, s.Target(t, r.URL).ID, []string{"disk.*"})
	var l ledger
	stop := load(t, s, &l, 4, 100<<10, nil)
	l.grow(t, 50, "events are acknowledged")
	before := l.ids()
	file := filepath.Join(t.TempDir(), "copy.db")
	if out, err := harness.Command(t.Context(), "backup", "--data", data, file).CombinedOutput(); err != nil {
		t.Fatalf("backup: %v\n%s", err, out)
	}
	if _, sound := check(t, data); !sound { // of the live one
		t.Error("the live folder has faults")
	}
	s.Kill()
	stop()
	if out, err := harness.Command(t.Context(), "backup", "--data", data, file).CombinedOutput(); err == nil || !strings.Contains(string(out), "exists") {
		t.Errorf("backup to a file that exists: %v\n%s", err, out)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy: %v, %v", info.Mode(), err)
	}

	restored := restore(t, file, data)
	report, sound := check(t, restored)
	if !sound || report.Counts["events"] < int64(len(before)) {
		t.Fatalf("the copy: %d events of %d, faults %v", report.Counts["events"], len(before), report.Faults)
	}
	if got := pragma(t, restored, "auto_vacuum"); got != 2 { // incremental: else retention would give no space back
		t.Errorf("auto_vacuum of the copy is %d", got)
	}
	up.Store(true)
	s = harness.Start(t, restored, settings...)
	r.Await(t, "what was acknowledged before the copy", func(m []harness.Message) bool { return arrivedAll(m, before) })
	awaitDelivered(t, s, len(before))
	s.StopCleanly(t)
	if report, sound := check(t, restored); !sound {
		t.Errorf("after all was delivered: %v", report.Faults)
	}
}

// restore makes a folder of a backup and the keys that it was made with.
func restore(t *testing.T, file, data string) (restored string) {
	t.Helper()
	restored = t.TempDir()
	copyFile(t, file, filepath.Join(restored, "postrider.db"))
	for _, key := range []string{"admin.key", "secret.key"} {
		copyFile(t, filepath.Join(data, key), filepath.Join(restored, key))
	}
	return restored
}

// TestCheckFindsFaults damages copies of a folder.
func TestCheckFindsFaults(t *testing.T) {
	t.Parallel()
	r := harness.NewReceiver(t, func(*harness.Message, http.ResponseWriter) int { return http.StatusServiceUnavailable })
	data := t.TempDir()
	s := harness.Start(t, data, "--retry-base", "2h", "--log-level", "warn")
	target := s.Target(t, r.URL)
	s.Subscribe(t, target.ID, []string{"*"})
	for range 3 {
		s.Publish(t, "a.b", make([]byte, 300<<10))
	}
	s.AwaitDeliveries(t, "state=retrying", func(d []harness.Delivery) bool { return len(d) == 3 })
	s.StopCleanly(t)
	if report, sound := check(t, data); !sound || report.Counts["events"] != 3 || report.Counts["targets"] != 1 {
		t.Fatalf("%+v", report)
	}
	for statement, want := range map[string]string{
		"DELETE FROM chunks WHERE id = (SELECT min(id) FROM chunks)":                      "in pieces",
		"UPDATE events SET size = size + 1":                                               "bytes of",
		"DELETE FROM events":                                                              "neither stored nor in the log",
		"UPDATE queue SET body = x'00'":                                                   "is not what was stored",
		"UPDATE queue SET body = x'00', crc = NULL":                                       "can't be read",
		"UPDATE deliveries SET attempt = x'02'":                                           "can't be read",
		"UPDATE deliveries SET state = 'gone'":                                            "can't be read",
		"DELETE FROM targets":                                                             "is not there",
		"UPDATE filters SET events = '['":                                                 "a filter can't be read",
		"DELETE FROM changes WHERE version = 2":                                           "a hole",
		"UPDATE meta SET value = 1000 WHERE name = 'events_committed'":                    "past the log's end",
		"DELETE FROM target_tail; DELETE FROM target_deliveries":                          "is not found by its target",
		"PRAGMA writable_schema=1; DELETE FROM sqlite_schema WHERE name = 'events_by_id'": "damaged",
	} {
		dir := copyData(t, data)
		alter(t, dir, statement)
		report, sound := check(t, dir)
		if sound || !strings.Contains(strings.Join(report.Faults, "\n"), want) {
			t.Errorf("%s: faults %q, want %q", statement, report.Faults, want)
		}
	}
	if out, err := harness.Command(t.Context(), "check", "--data", t.TempDir()).CombinedOutput(); err == nil || !strings.Contains(string(out), "no data file") {
		t.Errorf("check of an empty folder: %v\n%s", err, out)
	}
}
