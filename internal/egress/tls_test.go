package egress_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/egress"
)

func secureServer(t *testing.T, config *tls.Config, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.TLS = config
	server.EnableHTTP2 = true
	server.Config.ErrorLog = discard()
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func TestPrivateCA(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	roots, err := egress.Roots(ca.pem)
	if err != nil {
		t.Fatal(err)
	}
	protocol := make(chan string, 1)
	good := secureServer(t, ca.serve(t, "hooks.example", time.Now().Add(time.Hour)), func(_ http.ResponseWriter, r *http.Request) {
		protocol <- r.Proto + " " + r.Host + " " + r.Header.Get("Accept-Encoding")
	})
	expired := secureServer(t, ca.serve(t, "hooks.example", time.Now().Add(-time.Hour)), nil)
	old := ca.serve(t, "hooks.example", time.Now().Add(time.Hour))
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	outdated := secureServer(t, old, nil)

	resolver := &names{answers: map[string][][]netip.Addr{"hooks.example": {addrs("93.184.216.34")}, "other.example": {addrs("93.184.216.34")}}}
	to := func(server *httptest.Server, roots *x509.CertPool) http.RoundTripper {
		w := &wire{to: server.Listener.Addr().String()}
		return newGuard(t, egress.Options{Resolver: resolver, Dial: w.dial, RootCAs: roots}).Transport(false)
	}
	if status, err := get(t, to(good, roots), "https://hooks.example/"); err != nil || status != http.StatusOK {
		t.Fatalf("%d, %v", status, err)
	}
	if got := <-protocol; got != "HTTP/2.0 hooks.example " {
		t.Errorf("the server saw %q", got)
	}
	var unknown x509.UnknownAuthorityError
	if _, err := get(t, to(good, nil), "https://hooks.example/"); !errors.As(err, &unknown) {
		t.Errorf("without the private CA: %v", err)
	}
	var name x509.HostnameError
	if _, err := get(t, to(good, roots), "https://other.example/"); !errors.As(err, &name) {
		t.Errorf("another name: %v", err)
	}
	var invalid x509.CertificateInvalidError
	if _, err := get(t, to(expired, roots), "https://hooks.example/"); !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		t.Errorf("expired: %v", err)
	}
	if _, err := get(t, to(outdated, roots), "https://hooks.example/"); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.1: %v", err)
	}
	if _, err := egress.Roots([]byte("no certificate")); postrider.CodeOf(err) != postrider.CodeInvalid {
		t.Errorf("%v", err)
	}
}

// TestResponseHeadIsBounded: a head over 64 KiB is an error, on both versions of HTTP.
func TestResponseHeadIsBounded(t *testing.T) {
	t.Parallel()
	handler := func(w http.ResponseWriter, r *http.Request) {
		n := egress.MaxResponseHeader / 2
		if r.URL.Path == "/large" {
			n *= 3
		}
		for range n / 1000 {
			w.Header().Add("X-Filler", strings.Repeat("x", 1000))
		}
	}
	ca := newAuthority(t)
	roots, err := egress.Roots(ca.pem)
	if err != nil {
		t.Fatal(err)
	}
	secure := secureServer(t, ca.serve(t, "hooks.example", time.Now().Add(time.Hour)), handler)
	plain := httptest.NewServer(http.HandlerFunc(handler))
	defer plain.Close()
	for scheme, server := range map[string]*httptest.Server{"http": plain, "https": secure} {
		w := &wire{to: server.Listener.Addr().String()}
		resolver := &names{answers: map[string][][]netip.Addr{"hooks.example": {addrs("93.184.216.34")}}}
		transport := newGuard(t, egress.Options{Resolver: resolver, Dial: w.dial, RootCAs: roots}).Transport(false)
		if _, err := get(t, transport, scheme+"://hooks.example/small"); err != nil {
			t.Errorf("%s: %v", scheme, err)
		}
		if _, err := get(t, transport, scheme+"://hooks.example/large"); err == nil {
			t.Errorf("%s: a head over the limit passed", scheme)
		}
	}
}
