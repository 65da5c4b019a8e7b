package e2e

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/postrider/postrider/test/harness"
)

func TestRestartWithPendingRetries(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	var up atomic.Bool
	r := harness.NewReceiver(t, func(*harness.Message, http.ResponseWriter) int {
		if up.Load() {
			return http.StatusOK
		}
		return http.StatusInternalServerError
	})
	s := harness.Start(t, data, "--retry-base", "2s", "--retry-max", "2s")
	target := s.Target(t, r.URL)
	s.Subscribe(t, target.ID, []string{"*"})
	sent := map[string][]byte{}
	for i, size := range []int{10, 1 << 10, 200 << 10} {
		body := payload(uint64(i), size)
		sent[s.Publish(t, "a.b", body)] = body
	}
	for id := range sent {
		s.AwaitState(t, id, target.ID, "retrying")
	}
	s.StopCleanly(t)
	up.Store(true)
	s = harness.Start(t, data, "--retry-base", "2s", "--retry-max", "2s")
	for id := range sent {
		d := s.AwaitState(t, id, target.ID, "delivered")
		if d.Attempts < 2 {
			t.Errorf("%d attempts after the restart", d.Attempts)
		}
	}
	for _, m := range r.Messages() {
		sameBytes(t, m, sent[m.ID])
	}
}

func TestOneProcessPerFolder(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	first := harness.Start(t, data)
	out, err := harness.Command(t.Context(), "serve", "--listen", "127.0.0.1:0", "--data", data).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("the second process: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), data) {
		t.Errorf("the fault does not name the folder: %s", out)
	}
	first.Do(t, http.StatusOK, http.MethodGet, "/readyz", nil, nil)
}

func TestKeyFiles(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "new", "folder")
	s := harness.Start(t, data)
	for name, want := range map[string]os.FileMode{"": 0o700, "admin.key": 0o600, "secret.key": 0o600} {
		info, err := os.Stat(filepath.Join(data, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v, mode %v", name, err, info.Mode())
		}
	}
	if s.Log().Contains(s.Key) {
		t.Error("the key is in the log")
	}
	s.Stop(t)
	if err := os.Chmod(filepath.Join(data, "admin.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := harness.Command(t.Context(), "serve", "--listen", "127.0.0.1:0", "--data", data).CombinedOutput(); err == nil || !strings.Contains(string(out), "chmod 600") {
		t.Errorf("a key that others can read is taken: %v\n%s", err, out)
	}
}

func TestLostSecretKeyIsRefused(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	s := harness.Start(t, data)
	s.Stop(t)
	if err := os.Remove(filepath.Join(data, "secret.key")); err != nil {
		t.Fatal(err)
	}
	out, err := harness.Command(t.Context(), "serve", "--listen", "127.0.0.1:0", "--data", data).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "secret") {
		t.Errorf("another secret key is taken: %v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(data, "secret.key")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a secret key that fits nothing was left behind: %v", err)
	}
}

func TestBadConfigurationNamesEveryFault(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "postrider.yaml")
	if err := os.WriteFile(file, []byte("retry-window: 9d\nno-such-setting: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := harness.Command(t.Context(), "serve", "--config", file, "--roles", "api,chef", "--listen", "nowhere", "--admin-key", "hunter2")
	cmd.Env = append(cmd.Env, "POSTRIDER_TIMEOUT=soon", "POSTRIDER_SECRET_KEY=hunter3")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"retry-window", "no-such-setting", "chef", "--listen", "POSTRIDER_TIMEOUT", "POSTRIDER_SECRET_KEY", "--admin-key"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no fault names %s", want)
		}
	}
	if strings.Contains(string(out), "hunter") {
		t.Error("a secret is shown")
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}

func TestRolesWithoutAPI(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, t.TempDir(), "--roles", "consumer,dispatcher,retry,archiver")
	s.Do(t, http.StatusOK, http.MethodGet, "/readyz", nil, nil)
	s.Do(t, http.StatusOK, http.MethodGet, "/metrics", nil, nil)
	s.Do(t, http.StatusNotFound, http.MethodGet, "/webhooks/targets", nil, nil)
}

// TestRolesOneAfterTheOther lets each role do its part in a process of its own, on one folder: what one leaves the next
// takes up.
func TestRolesOneAfterTheOther(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	r := harness.NewReceiver(t, nil)
	api := harness.Start(t, data, "--roles", "api")
	target := api.Target(t, r.URL)
	api.Subscribe(t, target.ID, []string{"*"})
	id := api.Publish(t, "a.b", []byte("x"))
	if status := api.Stop(t); status != 0 || len(r.Messages()) != 0 {
		t.Fatalf("status %d, %d messages from the API alone", status, len(r.Messages()))
	}
	consumer := harness.Start(t, data, "--roles", "consumer,api")
	consumer.AwaitState(t, id, target.ID, "pending")
	if status := consumer.Stop(t); status != 0 || len(r.Messages()) != 0 {
		t.Fatalf("status %d, %d messages from the consumer", status, len(r.Messages()))
	}
	dispatcher := harness.Start(t, data, "--roles", "dispatcher,api")
	dispatcher.AwaitState(t, id, target.ID, "delivered")
	r.AwaitCount(t, 1)
}

// TestSecondSignalEndsAtOnce stops a server whose attempt does not end: the first signal waits for it, the second does not.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}), make(chan struct{})
	r := harness.NewReceiver(t, func(*harness.Message, http.ResponseWriter) int {
		close(begun)
		<-release
		return http.StatusOK
	})
	defer close(release)
	s := harness.Start(t, t.TempDir(), "--timeout", "10m", "--drain", "1h")
	s.Subscribe(t, s.Target(t, r.URL).ID, []string{"*"})
	s.Publish(t, "a.b", []byte("x"))
	<-begun
	s.Signal(syscall.SIGTERM)
	harness.Await(t, func() string {
		a, err := s.Call(t.Context(), http.MethodGet, "/readyz", nil)
		if err != nil || a.Status != http.StatusServiceUnavailable {
			return "a stopping server is ready"
		}
		return ""
	})
	a, err := s.Call(t.Context(), http.MethodPost, "/webhooks/events", []byte("x"), "Postrider-Event-Type: a.b")
	if err != nil || a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("a stopping server answers %d (%v)", a.Status, err)
	}
	s.Signal(syscall.SIGINT)
	if status := s.WaitExit(t); status != 1 {
		t.Errorf("exit status %d", status)
	}
}

// TestStopUnderLoad stops a server cleanly, again and again, while events are published. Nothing accepted may be missing
// and nothing may arrive twice.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	r := harness.NewReceiver(t, nil)
	s := harness.Start(t, data)
	s.Subscribe(t, s.Target(t, r.URL).ID, []string{"*"})
	accepted, unsure := map[string]bool{}, map[string]bool{}
	for round := range 3 {
		if round > 0 {
			s = harness.Start(t, data)
		}
		before := len(r.Messages())
		load := startLoad(t, s, round)
		r.Await(t, "load", func(m []harness.Message) bool { return len(m) > before+200 })
		if status := s.Stop(t); status != 0 {
			t.Errorf("round %d: exit status %d", round, status)
		}
		load.stop(accepted, unsure)
	}
	s = harness.Start(t, data)
	count := map[string]int{}
	r.Await(t, "everything accepted", func(messages []harness.Message) bool {
		clear(count)
		for _, m := range messages {
			count[m.ID]++
		}
		for id := range accepted {
			if count[id] == 0 {
				return false
			}
		}
		return true
	})
	s.AwaitDeliveries(t, "", func(list []harness.Delivery) bool { return len(list) >= len(accepted) && allFinal(list) })
	for _, m := range r.Messages() {
		if count[m.ID]--; count[m.ID] > 0 {
			t.Errorf("%s arrived twice", m.ID)
		}
		if !accepted[m.ID] && !unsure[m.ID] {
			t.Errorf("%s was never sent", m.ID)
		}
	}
	t.Logf("%d accepted, %d without an answer", len(accepted), len(unsure))
}

func allFinal(list []harness.Delivery) bool {
	for _, d := range list {
		if !d.Final() {
			return false
		}
	}
	return true
}

// load is some publishers that publish as fast as they can until the server goes or stop is called.
type load struct {
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	mu       sync.Mutex
	accepted []string
	unsure   []string
}

func startLoad(t *testing.T, s *harness.Server, round int) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{cancel: cancel}
	for p := range 8 {
		l.wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if !l.publish(ctx, s, path("r%d-p%d-%d", round, p, n)) {
					return
				}
			}
		})
	}
	return l
}

// publish publishes one event; it reports false when the server is gone.
func (l *load) publish(ctx context.Context, s *harness.Server, id string) bool {
	a, err := s.Call(ctx, http.MethodPost, "/webhooks/events", []byte(id), "Postrider-Event-Type: a.b", "Postrider-Event-Id: "+id)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil && a.Status == http.StatusAccepted:
		l.accepted = append(l.accepted, id)
		return true
	case err == nil && a.Status == http.StatusServiceUnavailable:
		return true
	}
	l.unsure = append(l.unsure, id)
	return !errors.Is(err, syscall.ECONNREFUSED)
}

func (l *load) stop(accepted, unsure map[string]bool) {
	l.cancel()
	l.wg.Wait()
	for _, id := range l.accepted {
		accepted[id] = true
	}
	for _, id := range l.unsure {
		unsure[id] = true
	}
}
