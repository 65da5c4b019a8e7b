package postgres_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/postgres"
)

// proxy stands between a database and its server. While it is deaf, it takes bytes and hands none on, as a network that has lost its
// way would.
type proxy struct {
	net.Listener
	to   string
	deaf atomic.Bool
	mu   sync.Mutex
	open []net.Conn
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, to: to}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() { p.serve(&work, c) })
		}
	})
	t.Cleanup(func() { l.Close(); p.cut(); work.Wait() })
	return p
}

func (p *proxy) serve(work *sync.WaitGroup, c net.Conn) {
	defer c.Close()
	p.keep(c)
	s, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer s.Close()
	p.keep(s)
	work.Go(func() { p.copy(c, s); c.Close() })
	p.copy(s, c)
}

func (p *proxy) copy(to io.Writer, from io.Reader) {
	buf := make([]byte, 1<<16)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if p.deaf.Load() {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = append(p.open, c)
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.open {
		c.Close()
	}
	p.open = nil
}

// through is the URL of a schema of the test's own, by way of a proxy.
func through(t *testing.T) (*proxy, string) {
	t.Helper()
	at := newSchema(t)
	host := hostOf(t, at)
	p := newProxy(t, host)
	return p, strings.Replace(at, host, p.Addr().String(), 1)
}

// Each call to a server that no longer answers is CodeUnavailable, within its time; once the server answers, the next one is served.
func TestStackServerDeaf(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for time to run out")
	}
	p, at := through(t)
	d := open(t, at)
	target := &postrider.Target{Tenant: "acme", URL: "https://example.com"}
	if err := d.CreateTarget(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	if err := d.Check(t.Context()); err != nil {
		t.Error(err)
	}
	p.deaf.Store(true)
	var work sync.WaitGroup
	for name, call := range map[string]func(context.Context) error{
		"read": func(ctx context.Context) error { _, err := d.Target(ctx, "acme", target.ID); return err },
		"change": func(ctx context.Context) error {
			return d.CreateFilter(ctx, &postrider.Filter{Tenant: "acme", Events: []string{"a"}})
		},
		"check": func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			return d.Check(ctx)
		},
		"version": func(ctx context.Context) error { _, err := d.Version(ctx); return err },
		"holds":   func(ctx context.Context) error { return d.PutHolds(ctx, "one", nil) },
		"replay": func(ctx context.Context) error {
			_, err := d.BeginReplay(ctx, postrider.DeliveryID{1}, 0, time.Now())
			return err
		},
		"list": func(ctx context.Context) error {
			_, _, err := d.Deliveries(ctx, "acme", postrider.DeliveryQuery{})
			return err
		},
	} {
		work.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			if err := call(ctx); postrider.CodeOf(err) != postrider.CodeUnavailable || ctx.Err() != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	work.Wait()
	p.deaf.Store(false)
	p.cut()
	eventually(t, "a read once the server answers", func() error { _, err := d.Target(t.Context(), "acme", target.ID); return err })
}

// eventually calls f until it succeeds.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: %v", what, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// A caller who gives up gets its own reason.
func TestStackCallerGivesUp(t *testing.T) {
	t.Parallel()
	p, at := through(t)
	d := open(t, at)
	p.deaf.Store(true)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := fmt.Errorf("the caller left")
	cancel(why)
	if _, err := d.Version(ctx); err != why { //nolint:errorlint // it comes as it is
		t.Errorf("got %v", err)
	}
}

// A listening connection that dies is replaced, and its watchers are told that they may have missed something.
func TestStackListenerDies(t *testing.T) {
	t.Parallel()
	p, at := through(t)
	other, d := open(t, at), open(t, at)
	hints := d.Watch(t.Context())
	hint := func(what string) {
		t.Helper()
		select {
		case <-hints:
		case <-time.After(time.Minute):
			t.Fatalf("no hint %s", what)
		}
	}
	hint("of the connection")
	change := func() {
		t.Helper()
		eventually(t, "a change", func() error {
			return other.CreateFilter(t.Context(), &postrider.Filter{Tenant: "acme", Events: []string{"a"}})
		})
	}
	change()
	hint("of a change by another process")
	p.cut()
	hint("after the connection was lost")
	change()
	hint("of a change after that")
}

// What is wrong with a URL is told at once, and never with its password.
func TestFaultyURLs(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"mysql://u:hunter2@h/x", "postgres://u:hunter2@h:port/x", "postgres://u:hunter2@h/x?sslmode=maybe", "postgres://u:hunter2@h/x?sslrootcert=/nowhere&sslmode=verify-full",
		"postgres://u:hunter2@h/x?pool_max_conns=many", "postgres://u:hunter2@h/x?connect_timeout=soon", "postgres://u:hunter2@h/%zz",
	} {
		_, err := postgres.Open(t.Context(), postgres.Options{URL: bad})
		if postrider.CodeOf(err) != postrider.CodeInvalid || !strings.Contains(err.Error(), "database: ") {
			t.Errorf("%s: %v", bad, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the password is shown: %v", err)
		}
	}
}

// A server that is away is CodeUnavailable, also to Open, and nothing is left behind.
func TestOpenWithoutServer(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	at := fmt.Sprintf("postgres://u:hunter2@127.0.0.1:%d/x?sslmode=disable", freePort(t))
	_, err := postgres.Open(t.Context(), postgres.Options{URL: at, Registerer: registry})
	if postrider.CodeOf(err) != postrider.CodeUnavailable || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // it takes the connection and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = postgres.Open(t.Context(), postgres.Options{URL: "postgres://u:hunter2@" + l.Addr().String() + "/x?sslmode=disable&connect_timeout=1"})
	if postrider.CodeOf(err) != postrider.CodeUnavailable {
		t.Errorf("got %v", err)
	}
	if families, err := registry.Gather(); err != nil || len(families) > 0 {
		t.Errorf("%d metrics are left, %v", len(families), err)
	}
}
