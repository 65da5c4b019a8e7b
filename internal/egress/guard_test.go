package egress_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/egress"
)

// attacks are addresses that no target may have. Each is tried as a literal, and as what a name resolves to.
var attacks = map[string]string{
	"unspecified":           "0.0.0.0",
	"this network":          "0.1.2.3",
	"loopback":              "127.0.0.1",
	"loopback, other":       "127.255.255.254",
	"private 10":            "10.0.0.1",
	"private 172.16":        "172.31.255.255",
	"private 192.168":       "192.168.1.1",
	"carrier-grade NAT":     "100.64.0.1",
	"carrier-grade NAT end": "100.127.255.255",
	"metadata":              "169.254.169.254",
	"metadata, ECS":         "169.254.170.2",
	"protocol assignments":  "192.0.0.192",
	"documentation 1":       "192.0.2.1",
	"documentation 2":       "198.51.100.1",
	"documentation 3":       "203.0.113.1",
	"benchmarking":          "198.18.0.1",
	"6to4 relay":            "192.88.99.1",
	"multicast":             "224.0.0.1",
	"reserved":              "240.0.0.1",
	"broadcast":             "255.255.255.255",
	"IPv6 unspecified":      "::",
	"IPv6 loopback":         "::1",
	"IPv4-mapped loopback":  "::ffff:127.0.0.1",
	"IPv4-mapped private":   "::ffff:10.0.0.1",
	"IPv4-mapped metadata":  "::ffff:a9fe:a9fe",
	"IPv4-compatible":       "::127.0.0.1",
	"IPv4-translated":       "::ffff:0:127.0.0.1",
	"NAT64 loopback":        "64:ff9b::7f00:1",
	"NAT64 metadata":        "64:ff9b::169.254.169.254",
	"NAT64 public":          "64:ff9b::5db8:d822",
	"NAT64 local use":       "64:ff9b:1::a00:1",
	"6to4 private":          "2002:a00:1::",
	"6to4 loopback":         "2002:7f00:1::1",
	"Teredo":                "2001:0:4136:e378:8000:63bf:3fff:fdd2",
	"ORCHIDv2":              "2001:20::1",
	"IPv6 documentation":    "2001:db8::1",
	"IPv6 documentation 2":  "3fff::1",
	"unique local":          "fd00:ec2::254",
	"unique local fc":       "fc00::1",
	"IPv6 link-local":       "fe80::1",
	"IPv6 site-local":       "fec0::1",
	"IPv6 multicast":        "ff02::1",
	"discard":               "100::1",
	"segment routing":       "5f00::1",
}

func TestAttacks(t *testing.T) {
	t.Parallel()
	resolver := &names{answers: map[string][][]netip.Addr{}}
	for _, address := range attacks {
		resolver.answers["evil.example"] = append(resolver.answers["evil.example"], addrs(address))
	}
	w := &wire{to: "127.0.0.1:1"}
	g := newGuard(t, egress.Options{Resolver: resolver, Dial: w.dial})
	for name, address := range attacks {
		for _, url := range []string{"http://" + bracket(address) + "/", "https://" + bracket(address) + ":8443/x"} {
			if _, err := get(t, g.Transport(false), url); postrider.CodeOf(err) != postrider.CodeForbidden {
				t.Errorf("%s: %s: %v", name, url, err)
			}
			if err := g.CheckURL(t.Context(), url, false); postrider.CodeOf(err) != postrider.CodeInvalid {
				t.Errorf("%s: %s at creation: %v", name, url, err)
			}
		}
	}
	for range attacks { // the name goes through all of them
		_, err := get(t, g.Transport(false), "http://evil.example/")
		if postrider.CodeOf(err) != postrider.CodeForbidden {
			t.Errorf("by name: %v", err)
		}
		var refused *postrider.Error
		if !errors.As(err, &refused) || strings.ContainsAny(refused.Message, "0123456789") {
			t.Errorf("the message gives the address away: %v", err)
		}
	}
	if dialed := w.seen(); len(dialed) > 0 {
		t.Errorf("dialed %v", dialed)
	}
}

func bracket(address string) string {
	if strings.Contains(address, ":") {
		return "[" + address + "]"
	}
	return address
}

// TestRefusedWithTheSystemsDialer has no injected dial, so that a hole would reach the server.
func TestRefusedWithTheSystemsDialer(t *testing.T) {
	t.Parallel()
	var reached atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	g := newGuard(t, egress.Options{Resolver: &names{answers: map[string][][]netip.Addr{"evil.example": {addrs("::ffff:127.0.0.1", "127.0.0.1")}}}})
	for _, host := range []string{"127.0.0.1", "[::ffff:127.0.0.1]", "evil.example"} {
		if _, err := get(t, g.Transport(false), "http://"+host+":"+port); postrider.CodeOf(err) != postrider.CodeForbidden {
			t.Errorf("%s: %v", host, err)
		}
		if status, err := get(t, g.Transport(true), "http://"+host+":"+port); err != nil || status != http.StatusOK {
			t.Errorf("%s with allowPrivate: %d, %v", host, status, err)
		}
		// The connection that allowPrivate made lies idle in its pool; it is no way in for others.
		if _, err := get(t, g.Transport(false), "http://"+host+":"+port); postrider.CodeOf(err) != postrider.CodeForbidden {
			t.Errorf("%s after allowPrivate: %v", host, err)
		}
	}
	if n := reached.Load(); n != 3 {
		t.Errorf("the server was reached %d times, want 3", n)
	}
}

// TestRebinding has a name that is public when it is first looked up and private afterwards: every dial is vetted, and what
// is connected to is what was vetted.
func TestRebinding(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }))
	defer server.Close()
	w := &wire{to: server.Listener.Addr().String()}
	resolver := &names{answers: map[string][][]netip.Addr{"rebind.example": {addrs("93.184.216.34"), addrs("127.0.0.1"), addrs("93.184.216.35"), addrs("169.254.169.254")}}}
	g := newGuard(t, egress.Options{Resolver: resolver, Dial: w.dial})
	for i, refused := range []bool{false, true, false, true} {
		if _, err := get(t, g.Transport(false), "http://rebind.example/"); (postrider.CodeOf(err) == postrider.CodeForbidden) != refused || !refused && err != nil {
			t.Errorf("dial %d: %v", i, err)
		}
	}
	want := "93.184.216.34:80 93.184.216.35:80"
	if got := strings.Join(w.seen(), " "); got != want {
		t.Errorf("dialed %s, want %s", got, want)
	}
	if len(resolver.asked) != 4 {
		t.Errorf("resolved %d times for 4 dials", len(resolver.asked))
	}
}

func TestMixedAnswer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	w := &wire{to: server.Listener.Addr().String(), refuses: map[string]bool{"[2606:2800:220:1::1]:80": true}}
	resolver := &names{answers: map[string][][]netip.Addr{
		"mixed.example": {addrs("10.0.0.1", "2606:2800:220:1::1", "127.0.0.1", "93.184.216.34", "::1")},
		"none.example":  {{}},
	}}
	g := newGuard(t, egress.Options{Resolver: resolver, Dial: w.dial})
	if status, err := get(t, g.Transport(false), "http://mixed.example/"); err != nil || status != http.StatusNotFound {
		t.Fatalf("%d, %v", status, err)
	}
	if got, want := strings.Join(w.seen(), " "), "[2606:2800:220:1::1]:80 93.184.216.34:80"; got != want {
		t.Errorf("dialed %s, want %s: the vetted addresses, in order, until one connects", got, want)
	}
	for _, host := range []string{"none.example", "unknown.example"} {
		var dns *net.DNSError
		if _, err := get(t, g.Transport(false), "http://"+host+"/"); !errors.As(err, &dns) {
			t.Errorf("%s: %v, want a net.DNSError", host, err)
		}
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	var reached atomic.Int32
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer inside.Close()
	server := httptest.NewServer(http.RedirectHandler(inside.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	for _, allowPrivate := range []bool{false, true} {
		g := newGuard(t, egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
		if status, err := get(t, g.Transport(allowPrivate), server.URL); err != nil || status != http.StatusTemporaryRedirect {
			t.Errorf("%d, %v", status, err)
		}
	}
	if reached.Load() > 0 {
		t.Error("the redirect was followed")
	}
}

func TestAllowedRanges(t *testing.T) {
	t.Parallel()
	w := &wire{to: "127.0.0.1:1", refuses: map[string]bool{"10.1.2.3:80": true, "[fd00::1]:80": true, "[64:ff9b::5db8:d822]:80": true}}
	g := newGuard(t, egress.Options{Dial: w.dial, Allow: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/16"), netip.MustParsePrefix("fd00::/8"),
		netip.MustParsePrefix("64:ff9b::/96")}})
	for url, allowed := range map[string]bool{
		"http://10.1.2.3/": true, "http://10.2.0.1/": false, "http://[fd00::1]/": true, "http://[fc00::1]/": false,
		"http://[64:ff9b::5db8:d822]/": true, "http://[64:ff9b::7f00:1]/": false, "http://127.0.0.1/": false,
	} {
		_, err := get(t, g.Transport(false), url)
		if forbidden := postrider.CodeOf(err) == postrider.CodeForbidden; forbidden == allowed {
			t.Errorf("%s: %v", url, err)
		}
		if err := g.CheckURL(t.Context(), url, false); (err == nil) != allowed {
			t.Errorf("%s at creation: %v", url, err)
		}
	}
	for _, bad := range []netip.Prefix{{}, netip.MustParsePrefix("::ffff:10.0.0.0/104")} {
		if _, err := egress.New(egress.Options{Allow: []netip.Prefix{bad}}); postrider.CodeOf(err) != postrider.CodeInvalid {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// TestEnvironmentProxyIsIgnored sets every variable that net/http would read; the server that they name must not be asked.
func TestEnvironmentProxyIsIgnored(t *testing.T) { //nolint:paralleltest // it sets the environment
	var asked atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer proxy.Close()
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	w := &wire{to: server.Listener.Addr().String()}
	g := newGuard(t, egress.Options{Dial: w.dial, Resolver: &names{answers: map[string][][]netip.Addr{"public.example": {addrs("93.184.216.34")}}}})
	for _, allowPrivate := range []bool{false, true} {
		if status, err := get(t, g.Transport(allowPrivate), "http://public.example/"); err != nil || status != http.StatusNotFound {
			t.Errorf("%d, %v", status, err)
		}
	}
	if asked.Load() > 0 {
		t.Error("the environment's proxy was asked")
	}
}
