package hostile

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/postrider/postrider/test/harness"
)

// timeout of an attempt, and what it may have taken beyond it by its own clock, which runs from before the request is made until what was
// waited for has given up: a busy machine adds the time until a goroutine that is to run does.
const (
	timeout = time.Second
	margin  = time.Second
)

// hostileSettings let nothing be tried a second time while the test runs.
func hostileSettings(ca string) []string {
	return []string{"--timeout", timeout.String(), "--retry-base", "2h", "--log-level", "warn", "--ca-file", ca}
}

// receiver is one that is hostile, and the classes as which its attempt may be recorded.
type receiver struct {
	name    string
	url     func(t *testing.T) string
	classes []string
	status  int    // that is recorded, if one is
	begins  string // what the recorded head of the body begins with
	body    []byte // that is sent
}

func plain(do deed) func(*testing.T) string {
	return func(t *testing.T) string { t.Helper(); return "http://" + raw(t, do) }
}

func none(net.Conn, <-chan struct{}) {}

const okHead = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"

// overHTTP1 are the receivers that speak HTTP/1, or nothing.
func overHTTP1() []receiver {
	only := func(c ...string) []string { return c }
	return []receiver{
		{name: "accepts no connection", url: func(t *testing.T) string { t.Helper(); return "http://" + deaf(t) }, classes: only("timeout", "connect")},
		{name: "refuses", url: func(t *testing.T) string { t.Helper(); return "http://" + closed(t) }, classes: only("connect")},
		{name: "closes at once", url: plain(none), classes: only("reset")},
		{name: "resets at once", url: plain(reset(none)), classes: only("reset", "connect")},
		{name: "reads nothing", url: plain(func(_ net.Conn, done <-chan struct{}) { <-done }), classes: only("timeout")},
		{name: "never answers", url: plain(held(answering())), classes: only("timeout")},
		{name: "closes unanswered", url: plain(answering()), classes: only("reset")},
		{name: "resets unanswered", url: plain(reset(answering())), classes: only("reset")},
		{name: "resets in the head", url: plain(reset(answering("HTTP/1.1 200 OK\r\nContent-Le"))), classes: only("reset", "protocol")},
		{name: "closes in the head", url: plain(answering("HTTP/1.1 200 OK\r\nContent-Le")), classes: only("reset", "protocol")},
		{name: "stalls in the head", url: plain(held(answering("HTTP/1.1 200 OK\r\nContent-Le"))), classes: only("timeout")},
		{name: "resets in the body", url: plain(reset(answering(okHead, "begin"))), classes: only("ok"), status: 200},
		{name: "stalls in the body", url: plain(held(answering(okHead, "begin"))), classes: only("ok"), status: 200, begins: "begin"},
		{name: "trickles the head", url: plain(trickling("HTTP/1.1 200 OK\r\nX: ")), classes: only("timeout")},
		{name: "trickles the body", url: plain(trickling("HTTP/1.1 500 No\r\nContent-Length: 1000000\r\n\r\nx\n")), classes: only("status", "timeout")},
		{name: "endless head", url: plain(flooding("HTTP/1.1 200 OK\r\n", "X-Filler: "+strings.Repeat("x", 1000)+"\r\n")), classes: only("protocol")},
		{name: "endless line", url: plain(flooding("HTTP/1.1 200 OK\r\nX: ", strings.Repeat("x", 1000))), classes: only("protocol")},
		{name: "endless status line", url: plain(flooding("HTTP/1.1 200 ", strings.Repeat("x", 1000))), classes: only("protocol")},
		{name: "endless informational answers", url: plain(flooding("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")), classes: only("protocol")},
		{name: "endless body", url: plain(flooding("HTTP/1.1 200 OK\r\n\r\nbegin", strings.Repeat("x", 1000))), classes: only("ok"), status: 200, begins: "begin"},
		{name: "endless chunk head", url: plain(flooding("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;", strings.Repeat("x", 1000))), classes: only("ok"), status: 200},
		{name: "endless trailer", url: plain(flooding("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n0\r\n", "X: x\r\n")), classes: only("ok"), status: 200, begins: "begin"},
		{name: "no HTTP", url: plain(answering("220 mail.example ESMTP\r\n")), classes: only("protocol")},
		{name: "no status", url: plain(answering("HTTP/1.1 abc OK\r\n\r\n")), classes: only("protocol")},
		{name: "no version", url: plain(answering("HTTP/9.9 200 OK\r\n\r\n")), classes: only("protocol", "ok"), status: 200},
		{name: "two lengths", url: plain(answering("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx")), classes: only("protocol")},
		{name: "a length below zero", url: plain(answering("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nxx")), classes: only("protocol")},
		{name: "a name that is none", url: plain(answering("HTTP/1.1 200 OK\r\nb\x00d: x\r\n\r\n")), classes: only("protocol")},
		{name: "switches protocols", url: plain(held(answering("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"))), classes: only("status"), status: 101},
		{name: "answers before it has read", url: plain(held(func(c net.Conn, _ <-chan struct{}) {
			_, _ = io.CopyN(io.Discard, c, 1)
			fmt.Fprint(c, tooLarge)
		})), classes: only("status", "reset"), status: 413},
		{name: "answers before it is asked", url: plain(held(func(c net.Conn, _ <-chan struct{}) {
			fmt.Fprint(c, tooLarge) // where it comes before the request is begun, it answers none
		})), classes: only("status", "reset", "protocol"), status: 413},
		{name: "a bomb", url: plain(answering(gzipped(bomb(64 << 20)))), classes: only("ok"), status: 200, begins: "\x1f"},
	}
}

const tooLarge = "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

// closed is an address at which nobody listens.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// overTLS are those that fail at TLS, or misuse HTTP/2.
func overTLS(ca *authority) []receiver {
	later := time.Now().Add(time.Hour)
	secure := func(config func(t *testing.T) *tls.Config, do deed) func(*testing.T) string {
		return func(t *testing.T) string { t.Helper(); return "https://" + rawTLS(t, config(t), do) }
	}
	good := func(protocols ...string) func(t *testing.T) *tls.Config {
		return func(t *testing.T) *tls.Config {
			t.Helper()
			c := ca.server(t, "127.0.0.1", later)
			c.NextProtos = protocols
			return c
		}
	}
	ok := answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	list := []receiver{
		{name: "a good one", url: secure(good("http/1.1"), ok), classes: []string{"ok"}, status: 200},
		{name: "an unknown authority", url: secure(func(t *testing.T) *tls.Config { t.Helper(); return newAuthority(t).server(t, "127.0.0.1", later) }, ok), classes: []string{"tls"}},
		{name: "an expired certificate", url: secure(func(t *testing.T) *tls.Config {
			t.Helper()
			return ca.server(t, "127.0.0.1", time.Now().Add(-time.Hour))
		}, ok), classes: []string{"tls"}},
		{name: "a certificate for another host", url: secure(func(t *testing.T) *tls.Config { t.Helper(); return ca.server(t, "other.example", later) }, ok), classes: []string{"tls"}},
		{name: "an old version of TLS", url: secure(func(t *testing.T) *tls.Config {
			t.Helper()
			c := ca.server(t, "127.0.0.1", later)
			c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
			return c
		}, ok), classes: []string{"tls"}},
		{name: "a handshake that never ends", url: func(t *testing.T) string {
			t.Helper()
			return "https://" + raw(t, func(_ net.Conn, done <-chan struct{}) { <-done })
		}, classes: []string{"timeout"}},
		{name: "a handshake that breaks", url: func(t *testing.T) string { t.Helper(); return "https://" + raw(t, none) }, classes: []string{"tls", "reset"}},
		{name: "no TLS", url: func(t *testing.T) string {
			t.Helper()
			return "https://" + raw(t, func(c net.Conn, _ <-chan struct{}) { fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\n\r\n") })
		}, classes: []string{"tls"}},
	}
	for _, h := range []receiver{
		{name: "resets", url: secure(good("h2"), h2Resets(http2.ErrCodeInternal)), classes: []string{"reset"}},
		{name: "refuses the stream", url: secure(good("h2"), h2Resets(http2.ErrCodeRefusedStream)), classes: []string{"reset", "timeout"}},
		{name: "goes away", url: secure(good("h2"), h2GoesAway(http2.ErrCodeNo)), classes: []string{"reset", "timeout"}},
		{name: "goes away with an error", url: secure(good("h2"), h2GoesAway(http2.ErrCodeEnhanceYourCalm)), classes: []string{"reset", "timeout"}},
		{name: "resets in the body", url: secure(good("h2"), h2ResetsInBody()), classes: []string{"ok"}, status: 200, begins: "begin"},
		{name: "endless head", url: secure(good("h2"), h2EndlessHead()), classes: []string{"protocol", "reset"}},
		{name: "endless body", url: secure(good("h2"), h2EndlessBody()), classes: []string{"ok", "reset"}, status: 200},
		{name: "takes no body", url: secure(good("h2"), h2Silent()), classes: []string{"timeout"}},
		{name: "pings", url: secure(good("h2"), h2Pings()), classes: []string{"timeout"}},
		{name: "no frames", url: secure(good("h2"), h2Garbage()), classes: []string{"protocol", "reset"}},
		{name: "takes no stream", url: secure(good("h2"), h2NoStreams()), classes: []string{"timeout"}},
	} {
		h.name = "HTTP2 " + h.name
		list = append(list, h)
	}
	return list
}

// TestReceivers sends one event to each hostile receiver: its attempt is recorded with its class, and within its timeout.
func TestReceivers(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	s := harness.Start(t, t.TempDir(), hostileSettings(ca.file(t))...)
	large := []byte(strings.Repeat("x", 200<<10)) // more than a socket buffers
	var list []receiver
	for _, r := range overHTTP1() {
		r.body = large
		list = append(list, r)
		r.name, r.body = r.name+", small message", []byte("{}") // which goes without net/http's Transport
		list = append(list, r)
	}
	for _, r := range overTLS(ca) {
		r.body = large
		list = append(list, r)
	}
	for i, r := range list {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			kind := fmt.Sprintf("hostile.n%d", i)
			target := s.Target(t, r.url(t)+"/")
			s.Subscribe(t, target.ID, []string{kind})
			event := s.Publish(t, kind, r.body)
			got := s.AwaitDeliveries(t, "eventId="+event, func(d []harness.Delivery) bool { return len(d) == 1 && d[0].Attempts == 1 })
			a := s.Attempts(t, got[0].ID)[0]
			t.Logf("%s after %d ms: %s", a.Class, a.DurationMs, a.Error)
			switch {
			case !slices.Contains(r.classes, a.Class):
				t.Errorf("class %s (%s), want one of %v", a.Class, a.Error, r.classes)
			case a.Status != 0 && a.Status != r.status:
				t.Errorf("status %d, want %d", a.Status, r.status)
			case a.Status == 0 && a.Error == "":
				t.Error("there is neither a status nor an error")
			case strings.Contains(a.Error, "127.0.0.1"):
				t.Errorf("the error names an address: %s", a.Error)
			case a.Status != 0 && !strings.HasPrefix(a.Response, r.begins):
				t.Errorf("the head of the body is %.40q, want %q", a.Response, r.begins)
			}
			if took := time.Duration(a.DurationMs) * time.Millisecond; took > timeout+margin {
				t.Errorf("it took %v of a timeout of %v", took, timeout)
			}
			if wants := "retrying"; a.Class != "ok" && got[0].State != wants {
				t.Errorf("state %s, want %s", got[0].State, wants)
			}
		})
	}
}
