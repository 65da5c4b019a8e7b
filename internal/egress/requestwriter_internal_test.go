package egress

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"testing"
)

// spelled makes a request of what a fuzzer can vary: headers are "name=value" with "|" between them, a name without "=" has no
// value, and each bit of odd is something out of the ordinary.
type spelled struct {
	method, host, urlHost, path, rawPath, opaque, query, headers, body string
	more                                                               int8 // how much longer than the body the request says that it is
	odd                                                                uint8
}

const (
	oddClose = 1 << iota
	oddCoding
	oddTrailer
	oddTrace
	oddForceQuery
	oddBuffer   // a body in a bytes.Buffer
	oddString   // in a strings.Reader
	oddBlocking // in what may block
)

func (s spelled) request() *http.Request {
	r := &http.Request{Method: s.method, Host: s.host, Header: s.header(), Close: s.odd&oddClose != 0, ContentLength: int64(len(s.body)) + int64(s.more),
		URL: &url.URL{Scheme: "http", Host: s.urlHost, Path: s.path, RawPath: s.rawPath, Opaque: s.opaque, RawQuery: s.query, ForceQuery: s.odd&oddForceQuery != 0}}
	if s.odd&oddCoding != 0 {
		r.TransferEncoding = []string{"chunked"}
	}
	if s.odd&oddTrailer != 0 {
		r.Trailer = http.Header{"X-Sum": {"1"}}
	}
	r.Body = s.reader()
	if s.odd&oddTrace != 0 {
		return r.WithContext(httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{}))
	}
	return r
}

func (s spelled) header() http.Header {
	h := http.Header{}
	for line := range strings.SplitSeq(s.headers, "|") {
		name, value, has := strings.Cut(line, "=")
		if h[name] = append([]string(nil), h[name]...); has {
			h[name] = append(h[name], value)
		}
	}
	return h
}

func (s spelled) reader() io.ReadCloser {
	switch {
	case s.body == "" && s.odd&oddString != 0:
		return nil
	case s.body == "" && s.odd&oddBuffer == 0:
		return http.NoBody
	case s.odd&oddBuffer != 0:
		return io.NopCloser(bytes.NewBufferString(s.body))
	case s.odd&oddString != 0:
		return io.NopCloser(strings.NewReader(s.body))
	case s.odd&oddBlocking != 0:
		return io.NopCloser(io.MultiReader(strings.NewReader(s.body)))
	}
	return io.NopCloser(bytes.NewReader([]byte(s.body)))
}

// plain is a request as they mostly are.
var plain = spelled{method: http.MethodPost, host: "hooks.example:8080", urlHost: "hooks.example:8080", path: "/in", query: "a=b%20c", body: "hello",
	headers: "User-Agent=Postrider|Webhook-Id=msg_1|Content-Type=application/json|Idempotency-Key|X-A=1|X-A=2"}

type variant struct {
	spelled
	ordinary bool // it is written without net/http
}

// variants are requests that differ from a plain one, by what is different.
func variants() map[string]variant {
	all := map[string]variant{}
	add := func(name string, ordinary bool, change func(*spelled)) {
		s := plain
		change(&s)
		all[name] = variant{s, ordinary}
	}
	add("nothing", true, func(*spelled) {})
	add("no method", true, func(s *spelled) { s.method = "" })
	add("GET without a body", true, func(s *spelled) { s.method, s.body = http.MethodGet, "" })
	add("POST without a body", true, func(s *spelled) { s.body = "" })
	add("no body at all", true, func(s *spelled) { s.body, s.odd = "", oddString })
	add("HEAD without a body", true, func(s *spelled) { s.method, s.body = http.MethodHead, "" })
	add("HEAD", false, func(s *spelled) { s.method = http.MethodHead })
	add("CONNECT", false, func(s *spelled) { s.method, s.path = http.MethodConnect, "" })
	add("large", true, func(s *spelled) { s.body = strings.Repeat("x", 16<<10) })
	add("large head", true, func(s *spelled) { s.headers += "|X-Large=" + strings.Repeat("x", 10<<10) })
	add("many headers", true, func(s *spelled) {
		s.headers = "Z=1|Y|X=2|" + strings.Join(strings.Split("QWERTYUIOPASDFGHJKLMNB", ""), "=1|")
	})
	add("buffer", true, func(s *spelled) { s.odd = oddBuffer })
	add("string", true, func(s *spelled) { s.odd = oddString })
	add("what may block", false, func(s *spelled) { s.odd = oddBlocking })
	add("longer", false, func(s *spelled) { s.more = -1 })
	add("shorter", false, func(s *spelled) { s.more = 1 })
	add("an unknown length", false, func(s *spelled) { s.more = -6 })
	add("an empty buffer", false, func(s *spelled) { s.body, s.odd = "", oddBuffer })
	add("a length and no body", false, func(s *spelled) { s.body, s.odd, s.more = "", oddString, 1 })
	add("closing", false, func(s *spelled) { s.odd = oddClose })
	add("chunks", false, func(s *spelled) { s.odd = oddCoding })
	add("trailer", false, func(s *spelled) { s.odd = oddTrailer })
	add("traced", false, func(s *spelled) { s.odd = oddTrace })
	add("an empty query", true, func(s *spelled) { s.query, s.odd = "", oddForceQuery })
	add("no path", true, func(s *spelled) { s.path = "" })
	add("a star", true, func(s *spelled) { s.path = "*" })
	add("a path to escape", true, func(s *spelled) { s.path = "/ü b\r\n%" })
	add("an escaped path", true, func(s *spelled) { s.path, s.rawPath = "/a/b", "/a%2Fb" })
	add("a wrongly escaped path", true, func(s *spelled) { s.path, s.rawPath = "/a/b", "/a\r\nb" })
	add("opaque", false, func(s *spelled) { s.opaque = "//hooks.example/in" })
	add("control in the query", false, func(s *spelled) { s.query = "a=\r\nX: y" })
	add("space in the query", true, func(s *spelled) { s.query = "a b" })
	add("no host", true, func(s *spelled) { s.host = "" })
	add("an international host", false, func(s *spelled) { s.host = "höoks.example" })
	add("no valid host", false, func(s *spelled) { s.host = "hooks.example/a\r\nX: y" })
	add("an IPv6 host", true, func(s *spelled) { s.host = "[2001:db8::1]:80" })
	add("a zone", false, func(s *spelled) { s.host = "[fe80::1%eth0]:80" })
	add("as many other names", true, func(s *spelled) { s.headers = strings.ReplaceAll(s.headers, "Content-Type", "Content-Kind") })
	add("no User-Agent", true, func(s *spelled) { s.headers = "A=b" })
	add("an empty User-Agent", true, func(s *spelled) { s.headers = "User-Agent=|A=b" })
	add("a blank User-Agent", true, func(s *spelled) { s.headers = "User-Agent= |A=b" })
	add("a User-Agent of two lines", true, func(s *spelled) { s.headers = "User-Agent=a\r\nb|User-Agent=c" })
	add("a nil User-Agent", true, func(s *spelled) { s.headers = "User-Agent" })
	add("headers that are excluded", true, func(s *spelled) { s.headers = "Host=a|Content-Length=9|Transfer-Encoding=chunked|Trailer=X|host=b" })
	add("names that are invalid", true, func(s *spelled) { s.headers = "=a|A b=c|X:=d|Ä=e|X\r\nY=f|a=g|A=h" })
	add("values of many lines", true, func(s *spelled) { s.headers = "A= \t\r\nb\nc\rd\r\n |B=\n|C= |D=\x00|E=ü" })
	return all
}

func TestRequestWriter(t *testing.T) {
	t.Parallel()
	for name, v := range variants() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v.compare(t)
			r := v.request()
			if _, ok := ordinaryBody(r); (ok && ordinary(r)) != v.ordinary {
				t.Errorf("ordinary: %t, want %t", !v.ordinary, v.ordinary)
			}
		})
	}
}

func FuzzRequestWriter(f *testing.F) {
	for _, v := range variants() {
		if len(v.body)+len(v.headers) > 1<<10 {
			continue // the fuzzer would spend its time on making them smaller
		}
		f.Add(v.method, v.host, v.urlHost, v.path, v.rawPath, v.opaque, v.query, v.headers, v.body, v.more, v.odd)
	}
	f.Fuzz(func(t *testing.T, method, host, urlHost, path, rawPath, opaque, query, headers, body string, more int8, odd uint8) {
		spelled{method, host, urlHost, path, rawPath, opaque, query, headers, body, more, odd}.compare(t)
	})
}

// compare holds what is written, in how many writes, and what error comes of it, against net/http: after nothing, after another
// request, and after the same.
func (s spelled) compare(t *testing.T) {
	t.Helper()
	want, wantErr := s.written(func(w *bufio.Writer, r *http.Request) error { return r.Write(w) })
	var fresh, used requestWriter
	_, _ = plain.written(used.write)
	for name, rw := range map[string]*requestWriter{"fresh": &fresh, "used": &used} {
		for range 2 {
			got, gotErr := s.written(rw.write)
			if got.all.String() != want.all.String() {
				t.Errorf("%s: wrote\n%q, not\n%q", name, got.all.String(), want.all.String())
			}
			if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
				t.Errorf("%s: %v, not %v", name, gotErr, wantErr)
			}
			if got.writes > want.writes {
				t.Errorf("%s: %d writes, not %d", name, got.writes, want.writes)
			}
		}
	}
}

func (s spelled) written(write func(*bufio.Writer, *http.Request) error) (*sink, error) {
	to := new(sink)
	w := bufio.NewWriterSize(to, 4<<10)
	err := write(w, s.request())
	w.Flush()
	return to, err
}

// sink counts writes. It does not read by itself.
type sink struct {
	all    bytes.Buffer
	writes int
}

func (s *sink) Write(p []byte) (int, error) {
	s.writes++
	return s.all.Write(p)
}

// TestLeftOver: a body that was sent is at its end, as net/http leaves it; a resend takes it from GetBody.
func TestLeftOver(t *testing.T) {
	t.Parallel()
	r := plain.request()
	if err := new(requestWriter).write(bufio.NewWriter(io.Discard), r); err != nil {
		t.Fatal(err)
	}
	if left, err := io.ReadAll(r.Body); len(left) > 0 || err != nil {
		t.Errorf("%q %v", left, err)
	}
}
