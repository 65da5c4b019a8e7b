package egress

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httptrace"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// defaultUserAgent is what net/http sends if a request has none.
const defaultUserAgent = "Go-http-client/1.1"

// memory is a body that does not block, and whose length is known.
type memory interface {
	io.WriterTo
	Len() int
}

// requestWriter writes requests. The zero value is ready for use.
type requestWriter struct {
	names []string // all that the header of the last request had: first those that are sent as they stand, sorted
	sent  int      // how many are
}

// write writes what Request.Write would, to the byte (FuzzRequestWriter holds it so), without its allocations. All that is out of the
// ordinary it leaves to Request.Write. It does not flush w.
func (rw *requestWriter) write(w *bufio.Writer, r *http.Request) error {
	body, ok := ordinaryBody(r)
	if !ok || !ordinary(r) {
		return r.Write(w)
	}
	_, err := w.Write(rw.appendHead(w.AvailableBuffer(), r))
	if err == nil && body != nil {
		_, err = body.WriteTo(w)
	}
	return err // the body needs no Close: that of an ordinary one does nothing
}

// ordinary reports whether nothing but a request's method, path, query, host and headers decides what its head is.
func ordinary(r *http.Request) bool {
	return r.Method != http.MethodConnect && !r.Close && len(r.TransferEncoding) == 0 && r.Trailer == nil &&
		ordinaryHost(hostOf(r)) && r.URL.Opaque == "" && !hasControl(r.URL.RawQuery) && httptrace.ContextClientTrace(r.Context()) == nil
}

// ordinaryBody returns a request's body; nil, true if it has none. A body that may block is none: the head must leave before it.
func ordinaryBody(r *http.Request) (memory, bool) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, r.ContentLength == 0
	}
	body := inMemory(r.Body)
	return body, body != nil && r.ContentLength > 0 && r.ContentLength == int64(body.Len()) && r.Method != http.MethodHead
}

var nopCloser = reflect.TypeOf(io.NopCloser(new(bytes.Reader)))

// inMemory returns what is inside a io.NopCloser, if it is of the kinds that net/http knows to be in memory; else nil.
func inMemory(body io.ReadCloser) memory {
	v := reflect.ValueOf(body)
	if v.Type() != nopCloser {
		return nil
	}
	switch inner := v.Field(0).Interface().(type) {
	case *bytes.Reader:
		return inner
	case *bytes.Buffer:
		return inner
	case *strings.Reader:
		return inner
	}
	return nil
}

func hostOf(r *http.Request) string {
	if r.Host != "" {
		return r.Host
	}
	return r.URL.Host
}

// ordinaryHost reports whether a host is sent as it is: it is not translated, nothing is cut from it, and it is valid in a header.
func ordinaryHost(host string) bool {
	return !strings.Contains(host, "%") && httpguts.ValidHostHeader(host) // valid is ASCII only; an IPv6 zone begins with %
}

func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

// appendHead appends the head of an ordinary request.
func (rw *requestWriter) appendHead(b []byte, r *http.Request) []byte {
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	b = append(append(b, method...), ' ')
	b = append(appendURI(b, r), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, hostOf(r)...), "\r\n"...)
	b = appendUserAgent(b, r.Header)
	if r.ContentLength > 0 || method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch {
		b = append(b, "Content-Length: "...)
		b = append(strconv.AppendInt(b, r.ContentLength, 10), "\r\n"...)
	}
	return append(rw.appendFields(b, r.Header), "\r\n"...)
}

func appendURI(b []byte, r *http.Request) []byte {
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	b = append(b, path...)
	if r.URL.ForceQuery || r.URL.RawQuery != "" {
		b = append(append(b, '?'), r.URL.RawQuery...)
	}
	return b
}

// appendUserAgent appends the one that the header has, or net/http's if it has none. An empty one is not sent.
func appendUserAgent(b []byte, h http.Header) []byte {
	values, ok := h["User-Agent"]
	switch {
	case !ok:
		return appendField(b, "User-Agent", defaultUserAgent)
	case len(values) == 0 || values[0] == "":
		return b
	}
	return appendField(b, "User-Agent", values[0])
}

// appendFields appends the headers sorted by name, but for those that are none and those that appendHead sees to.
func (rw *requestWriter) appendFields(b []byte, h http.Header) []byte {
	if all, ok := rw.appendKnown(b, h); ok {
		return all
	}
	rw.learn(h)
	b, _ = rw.appendKnown(b, h)
	return b
}

// appendKnown does it for a header with the names that are known: what goes over one connection has the same ones, mostly, so that
// they need no sorting. It fails for any other.
func (rw *requestWriter) appendKnown(b []byte, h http.Header) ([]byte, bool) {
	if len(h) != len(rw.names) {
		return nil, false
	}
	for i, name := range rw.names {
		values, ok := h[name]
		if !ok {
			return nil, false
		}
		if i >= rw.sent {
			continue
		}
		for _, value := range values {
			b = appendField(b, name, value)
		}
	}
	return b, true
}

func (rw *requestWriter) learn(h http.Header) {
	rw.names = rw.names[:0]
	for name := range h {
		if !special(name) {
			rw.names = append(rw.names, name)
		}
	}
	rw.sent = len(rw.names)
	slices.Sort(rw.names)
	for name := range h {
		if special(name) {
			rw.names = append(rw.names, name)
		}
	}
}

// special reports whether a header is of those that are not sent as they stand, or not at all.
func special(name string) bool {
	switch name {
	case "Host", "User-Agent", "Content-Length", "Transfer-Encoding", "Trailer":
		return true
	}
	return !httpguts.ValidHeaderFieldName(name)
}

// appendField appends a line. A value cannot end it: it is trimmed, and its line breaks are made spaces.
func appendField(b []byte, name, value string) []byte {
	b = append(append(b, name...), ": "...)
	return append(append(b, cleaned(value)...), "\r\n"...)
}

var lineBreaks = strings.NewReplacer("\n", " ", "\r", " ")

func cleaned(value string) string {
	if value == "" || value[0] > ' ' && value[len(value)-1] > ' ' && strings.IndexByte(value, '\n') < 0 && strings.IndexByte(value, '\r') < 0 {
		return value
	}
	return lineBreaks.Replace(strings.Trim(value, " \t\r\n"))
}
