package app

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postrider/postrider/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a network of one address, without sockets: what a simulation gives to app.
type memory struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newMemory() *memory { return &memory{conns: make(chan net.Conn), done: make(chan struct{})} }

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error { m.once.Do(func() { close(m.done) }); return nil }

func (m *memory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8400} }

func (m *memory) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case m.conns <- server:
		return client, nil
	case <-m.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// running is a process under test.
type running struct {
	ready   Ready // once isReady is closed
	isReady chan struct{}
	client  *http.Client
	cancel  context.CancelFunc
	ended   chan error
}

// run starts a process and waits until it is ready.
func run(t *testing.T, args ...string) *running {
	t.Helper()
	r := launch(t, args...)
	select {
	case <-r.isReady:
	case err := <-r.ended:
		t.Fatalf("it ended before it was ready: %v", err)
	}
	return r
}

// launch starts a process.
func launch(t *testing.T, args ...string) *running {
	t.Helper()
	c, err := config.Parse(append([]string{"--data", t.TempDir()}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	network := newMemory()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{cancel: cancel, ended: make(chan error, 1), isReady: make(chan struct{})}
	transport := &http.Transport{DialContext: network.dial}
	r.client = &http.Client{Transport: transport}
	go func() {
		r.ended <- Run(ctx, Options{
			Config: c, Version: "test", Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
			Ready:  func(at Ready) { r.ready = at; close(r.isReady) },
			Listen: func(context.Context, string, string) (net.Listener, error) { return network, nil },
		})
	}()
	t.Cleanup(func() { cancel(); transport.CloseIdleConnections() })
	return r
}

// get asks for a path and returns status and body.
func (r *running) get(t *testing.T, path string) (int, string) {
	t.Helper()
	resp, err := r.client.Get("http://127.0.0.1:8400" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	if err := <-r.ended; err != nil {
		t.Errorf("the stop was not clean: %v", err)
	}
}

func TestProcessStartsAndStops(t *testing.T) {
	t.Parallel()
	r := run(t)
	if !r.ready.API || r.ready.AdminKey == "" || r.ready.URL != "http://127.0.0.1:8400" {
		t.Errorf("ready: %+v", r.ready)
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if status, body := r.get(t, path); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if _, body := r.get(t, "/metrics"); !strings.Contains(body, "go_goroutines") || !strings.Contains(body, "\npostrider_ready 1\n") {
		t.Error("the metrics lack those of the process or of the roles")
	}
	r.stop(t)
}

func TestEachRoleAlone(t *testing.T) {
	t.Parallel()
	for _, role := range config.AllRoles() {
		t.Run(string(role), func(t *testing.T) {
			t.Parallel()
			r := run(t, "--roles", string(role))
			if status, body := r.get(t, "/readyz"); status != http.StatusOK {
				t.Errorf("/readyz: %d %s", status, body)
			}
			if r.ready.API != (role == config.RoleAPI) {
				t.Errorf("ready: %+v", r.ready)
			}
			r.stop(t)
		})
	}
}

func TestAnAddressThatIsTakenIsNamed(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c, err := config.Parse("--data", t.TempDir(), "--listen", taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = Run(ctx, Options{Config: c, Logger: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "--listen") || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("got %v", err)
	}
}

func TestProfilesAreServedOnlyWhereAsked(t *testing.T) {
	t.Parallel()
	rec := httptest.NewRecorder()
	profiles().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/debug/pprof/goroutine?debug=1", nil))
	if rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), "goroutine profile") {
		t.Errorf("%d %.80s", rec.Code, rec.Body)
	}
	r := run(t)
	if status, _ := r.get(t, "/debug/pprof/"); status != http.StatusNotFound {
		t.Errorf("the API's listener serves profiles: %d", status)
	}
	r.stop(t)
}
