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

// TestDiskFailsUnderLoad has the file system give up under the running server: by an error upon which it makes itself read-only, and
// as after the loss of its device. Intake answers 503 with the reason, readiness tells, reads go on; what was acknowledged is there
// once the file system was mended and the server started again.
func TestDiskFailsUnderLoad(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(t *testing.T, l *loop){
		"read-only": func(t *testing.T, l *loop) {
			t.Helper()
			if err := os.WriteFile(filepath.Join("/sys/fs/ext4", l.device, "trigger_fs_error"), []byte("test"), 0o200); err != nil {
				t.Skipf("the file system can't be made to fail: %v", err)
			}
		},
		"lost": func(t *testing.T, l *loop) {
			t.Helper()
			if err := l.ioctl(ext4Shutdown, noLogFlush); err != nil {
				t.Skipf("the file system can't be made to fail: %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			diskFails(t, fail)
		})
	}
}

func diskFails(t *testing.T, fail func(*testing.T, *loop)) {
	t.Helper()
	disk := newLoop(t, 128<<20)
	r := harness.NewReceiver(t, nil)
	s := harness.Start(t, disk.Data, append(settings, "--drain", "3s")...)
	s.Subscribe(t, s.Target(t, r.URL).ID, []string{"disk.*"})
	var l ledger
	var refused atomic.Int64
	stop := load(t, s, &l, 4, 8<<10, func(a harness.Answer) {
		if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || !strings.Contains(string(a.Body), "the data file can't be used: ") ||
			strings.Contains(string(a.Body), "see the log") {
			t.Errorf("status %d: %s", a.Status, a.Body)
		}
		refused.Add(1)
	})
	defer func() { stop() }()
	l.grow(t, 200, "events are acknowledged")
	// A sync that is under way when ext4 gives up its journal may be told as done although it was not, as bare writes and syncs show too: so
	// what counts is what was acknowledged by then.
	ids := l.ids()
	fail(t, disk)
	harness.Await(t, func() string { return unless(refused.Load() >= 20, "intake says that the disk fails") })
	acked := len(l.ids())
	harness.Await(t, func() string {
		a, _ := reached(t, s, "/readyz")
		return unless(a.Status == http.StatusServiceUnavailable && strings.Contains(string(a.Body), "the data file can't be used: "), "readiness tells of it: "+string(a.Body))
	})
	if a, detail := reached(t, s, "/healthz"); a.Status != http.StatusOK {
		t.Errorf("healthz: %d %s", a.Status, detail)
	}
	if a, detail := reached(t, s, "/webhooks/deliveries?limit=5"); a.Status != http.StatusOK && a.Status != http.StatusServiceUnavailable {
		t.Errorf("deliveries: %d %s", a.Status, detail)
	}
	stop()
	if now := len(l.ids()); now != acked {
		t.Errorf("%d events were acknowledged while nothing could be written", now-acked)
	}
	if status := s.Stop(t); s.Log().Contains("panic") || status < 0 {
		t.Errorf("exit status %d", status)
	}
	t.Logf("%d acknowledged before, %d when it failed, %d refused", len(ids), acked-len(ids), refused.Load())

	disk.unmount()
	disk.mend("")
	if report, sound := check(t, disk.Data); !sound || report.Counts["events"] < int64(len(ids)) {
		t.Errorf("%d events of %d, faults %v", report.Counts["events"], len(ids), report.Faults)
	}
	s = harness.Start(t, disk.Data, settings...)
	awaitAll(t, r, ids)
	s.StopCleanly(t)
}

// TestReadOnlyAtTheStart has the folder on a file system that is mounted read-only: serve says so and exits 1, check still reads it.
func TestReadOnlyAtTheStart(t *testing.T) {
	t.Parallel()
	disk := newLoop(t, 64<<20)
	s := harness.Start(t, disk.Data, settings...)
	s.Publish(t, "a.b", []byte("{}"))
	s.StopCleanly(t)
	disk.unmount()
	disk.mend(",ro")
	cmd := harness.Command(t.Context(), "serve", "--listen", "127.0.0.1:0", "--data", disk.Data)
	out, err := cmd.CombinedOutput()
	if status := cmd.ProcessState.ExitCode(); status != 1 || !strings.Contains(string(out), "read-only") {
		t.Errorf("serve ended with %d, %v:\n%s", status, err, out)
	}
	if report, sound := check(t, disk.Data); !sound || report.Counts["events"] != 1 {
		t.Errorf("%d events, faults %v", report.Counts["events"], report.Faults)
	}
	disk.unmount()
	disk.mend("")
	s = harness.Start(t, disk.Data, settings...)
	s.Publish(t, "a.b", []byte("{}"))
}
