package dispatch_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider"
)

// A receiver starts what an attempt goes to, and returns its URL.
type receiver func(t *testing.T) (url string)

// raw answers each connection's request with some bytes, and closes it.
func raw(answer string) receiver {
	return func(t *testing.T) string {
		t.Helper()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				if request, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, _ = io.Copy(io.Discard, request.Body)
				}
				fmt.Fprint(c, answer)
				c.Close()
			}
		}()
		return "http://" + l.Addr().String()
	}
}

// refusing is an address where nobody listens.
func refusing(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(nil)
	s.Close()
	return s.URL
}

// untrusted has a certificate of an authority that nobody knows.
func untrusted(t *testing.T) string {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

// plain speaks no TLS, although its URL says so.
func plain(t *testing.T) string {
	t.Helper()
	return "https" + strings.TrimPrefix(serve(t, func(http.ResponseWriter, *http.Request) {}).URL, "http")
}

// silent never answers.
func silent(t *testing.T) string {
	t.Helper()
	return serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}).URL
}

func largeHead(t *testing.T) string {
	t.Helper()
	return serve(t, func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("X", strings.Repeat("x", 2<<20)) }).URL
}

// redirecting fails the test if its redirect is followed.
func redirecting(t *testing.T) string {
	t.Helper()
	return serve(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/followed" {
			t.Error("a redirect was followed")
		}
		http.Redirect(rw, r, "/followed", http.StatusTemporaryRedirect)
	}).URL
}

// TestClasses makes an attempt end in each way that loopback allows.
func TestClasses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		start receiver
		want  postrider.Class
	}{
		"reset":      {raw(""), postrider.ClassReset},
		"cut":        {raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"), postrider.ClassReset},
		"not http":   {raw("SSH-2.0-OpenSSH_9.6\r\n"), postrider.ClassProtocol},
		"refused":    {refusing, postrider.ClassConnect},
		"untrusted":  {untrusted, postrider.ClassTLS},
		"no tls":     {plain, postrider.ClassTLS},
		"hangs":      {silent, postrider.ClassTimeout},
		"large head": {largeHead, postrider.ClassProtocol},
		"redirect":   {redirecting, postrider.ClassRedirect},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := loopback(t)
			if c.want == postrider.ClassTimeout {
				w.options.Timeout = 100 * time.Millisecond
			}
			url := c.start(t)
			w.subscribe("t", 1, func(x *postrider.Target) { x.URL = url })
			stop := w.run()
			defer stop()
			w.send(event("t", "{}"), 1)
			a := w.await(1)[0].Attempt
			if a.Class != c.want {
				t.Errorf("class %s (%s), want %s", a.Class, a.Error, c.want)
			}
			if a.Status == 0 && a.Error == "" || strings.Contains(a.Error, "127.0.0.1") {
				t.Errorf("error %q", a.Error)
			}
		})
	}
}

// TestErrorsOfTheTransport has those that loopback does not bring about.
func TestErrorsOfTheTransport(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want postrider.Class
		text string
	}{
		"no such name": {&net.OpError{Op: "dial", Err: &net.DNSError{Name: "x", IsNotFound: true}}, postrider.ClassDNS, "the host's name is not known"},
		"resolver":     {&net.DNSError{Name: "x", Server: "10.0.0.1:53", IsTimeout: true}, postrider.ClassDNS, "the host's name did not resolve in time"},
		"forbidden": {fmt.Errorf("dial: %w", postrider.Errorf(postrider.CodeForbidden, "not allowed: %w", errDown)), postrider.ClassForbidden,
			"not allowed"},
		"connect timeout": {&net.OpError{Op: "dial", Err: context.DeadlineExceeded}, postrider.ClassConnect, "no connection came about in time"},
		"reset":           {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, postrider.ClassReset, "the connection broke before a response came"},
		"alert":           {tls.AlertError(40), postrider.ClassTLS, "the TLS handshake failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			simulated(t, func(w *world) {
				t := w.t
				w.answer(func(*http.Request) (*http.Response, error) { return nil, c.err })
				w.subscribe("t", 1)
				stop := w.run()
				w.send(event("t", "{}"), 1)
				synctest.Wait()
				stop()
				if a := w.outcomes()[0].Attempt; a.Class != c.want || a.Error != c.text {
					t.Errorf("class %s (%s), want %s (%s)", a.Class, a.Error, c.want, c.text)
				}
			})
		})
	}
}
