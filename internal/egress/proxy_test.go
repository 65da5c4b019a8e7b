package egress_test

import (
	"bufio"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/egress"
)

func discard() *log.Logger { return log.New(io.Discard, "", 0) }

// connectProxy is an HTTP proxy that makes every tunnel to one server and records what it was asked for.
type connectProxy struct {
	to     string
	status int
	early  bool // bytes after the answer's head
	mu     sync.Mutex
	asked  []string
	auth   string
}

func (p *connectProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.Host)
	p.auth = r.Header.Get("Proxy-Authorization")
	p.mu.Unlock()
	if p.status != http.StatusOK {
		w.WriteHeader(p.status)
		return
	}
	near, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer near.Close()
	far, err := new(net.Dialer).DialContext(r.Context(), "tcp", p.to)
	if err != nil {
		return
	}
	defer far.Close()
	answer := "HTTP/1.1 200 Connection established\r\n\r\n"
	if p.early {
		answer += "HTTP/1.1 200 OK\r\n\r\n" // in one write: what comes later can't be told from what the target sends
	}
	io.WriteString(near, answer)
	done := make(chan struct{})
	go func() { defer close(done); io.Copy(far, near); far.Close() }()
	io.Copy(near, far)
	near.Close()
	<-done
}

func (p *connectProxy) seen() ([]string, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked), p.auth
}

func proxyURL(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestProxy sends http and https through an http and an https proxy. The proxy lies on loopback, where no target may be.
func TestProxy(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	roots, err := egress.Roots(ca.pem)
	if err != nil {
		t.Fatal(err)
	}
	host := make(chan string, 2)
	handler := func(_ http.ResponseWriter, r *http.Request) { host <- r.Host }
	targets := map[string]*httptest.Server{"http": httptest.NewServer(http.HandlerFunc(handler)),
		"https": secureServer(t, ca.serve(t, "hooks.example", time.Now().Add(time.Hour)), handler)}
	t.Cleanup(targets["http"].Close)
	for _, proxyScheme := range []string{"http", "https"} {
		for scheme, target := range targets {
			p := &connectProxy{to: target.Listener.Addr().String(), status: http.StatusOK}
			server := httptest.NewUnstartedServer(p)
			address := server.Listener.Addr().String()
			if proxyScheme == "http" {
				server.Start()
			} else {
				server.TLS = ca.serve(t, "proxy.example", time.Now().Add(time.Hour))
				server.StartTLS()
			}
			resolver := &names{answers: map[string][][]netip.Addr{"hooks.example": {addrs("10.0.0.1", "93.184.216.34")}, "evil.example": {addrs("10.0.0.1")}}}
			// The proxy's own name is resolved by the dial, which is not guarded.
			w := &wire{to: address}
			g, err := egress.New(egress.Options{Resolver: resolver, RootCAs: roots, Dial: w.dial, Proxy: proxyURL(t, proxyScheme+"://user:pw@proxy.example:3128")})
			if err != nil {
				t.Fatal(err)
			}
			if status, err := get(t, g.Transport(false), scheme+"://hooks.example/"); err != nil || status != http.StatusOK {
				t.Fatalf("%s through %s: %d, %v", scheme, proxyScheme, status, err)
			}
			if got := <-host; got != "hooks.example" {
				t.Errorf("the target saw the host %s", got)
			}
			for _, url := range []string{"://evil.example/", "://127.0.0.1/", "://[::1]/"} {
				if _, err := get(t, g.Transport(false), scheme+url); postrider.CodeOf(err) != postrider.CodeForbidden {
					t.Errorf("%s through the proxy: %v", url, err)
				}
			}
			asked, auth := p.seen()
			if want := "CONNECT 93.184.216.34:" + map[string]string{"http": "80", "https": "443"}[scheme]; strings.Join(asked, " ") != want {
				t.Errorf("the proxy was asked %v, want %s", asked, want)
			}
			if auth != "Basic dXNlcjpwdw==" {
				t.Errorf("Proxy-Authorization: %q", auth)
			}
			if dialed := w.seen(); strings.Join(dialed, " ") != "proxy.example:3128" {
				t.Errorf("dialed %v", dialed)
			}
			g.CloseIdle()
			server.Close()
		}
	}
}

func TestProxyThatRefuses(t *testing.T) {
	t.Parallel()
	target := httptest.NewServer(http.NotFoundHandler())
	defer target.Close()
	for name, p := range map[string]*connectProxy{
		"403": {status: http.StatusForbidden}, "407": {status: http.StatusProxyAuthRequired}, "302": {status: http.StatusFound},
		"201": {status: http.StatusCreated}, "early bytes": {status: http.StatusOK, early: true},
	} {
		p.to = target.Listener.Addr().String()
		server := httptest.NewServer(p)
		resolver := &names{answers: map[string][][]netip.Addr{"hooks.example": {addrs("93.184.216.34")}}}
		g := newGuard(t, egress.Options{Resolver: resolver, Proxy: proxyURL(t, server.URL)})
		status, err := get(t, g.Transport(false), "http://hooks.example/")
		if err == nil || !strings.Contains(err.Error(), "egress proxy") || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%s: %d, %v; want an error that does not name the proxy", name, status, err)
		}
		server.Close()
	}
}

// TestProxyThatIsSilent gives up with the dial's context, and leaves nothing behind.
func TestProxyThatIsSilent(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer far.Close()
	asked := make(chan struct{})
	go func() {
		http.ReadRequest(bufio.NewReader(far))
		close(asked)
	}()
	resolver := &names{answers: map[string][][]netip.Addr{"hooks.example": {addrs("93.184.216.34")}}}
	ctx, cancel := context.WithCancel(t.Context())
	g := newGuard(t, egress.Options{Resolver: resolver, Proxy: proxyURL(t, "http://proxy.example"), ConnectTimeout: time.Hour,
		Dial: func(context.Context, string, string) (net.Conn, error) { return near, nil }})
	go func() { <-asked; cancel() }()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://hooks.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Transport(false).RoundTrip(r); err == nil {
		t.Error("a tunnel without an answer")
	}
	if _, err := near.Write([]byte("x")); err == nil {
		t.Error("the connection is left open")
	}
}

func TestProxyOptions(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"socks5://proxy.example", "http://", "http://proxy.example/path", "proxy.example:3128"} {
		if _, err := egress.New(egress.Options{Proxy: proxyURL(t, bad)}); postrider.CodeOf(err) != postrider.CodeInvalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
