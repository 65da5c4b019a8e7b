package egress

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// likeDispatch makes a request with the headers that dispatch sends.
func likeDispatch(ctx context.Context, u *url.URL, body []byte) *http.Request {
	r := &http.Request{Method: http.MethodPost, URL: u, Host: u.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Header: http.Header{
			"User-Agent":           {"Postrider/1.0"},
			"Content-Type":         {"application/json"},
			"Webhook-Id":           {"msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"},
			"Webhook-Timestamp":    {"1674087231"},
			"Webhook-Signature":    {"v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="},
			"Postrider-Event-Type": {"invoice.paid"},
			"Postrider-Attempt":    {"1"},
			"Traceparent":          {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
			"Authorization":        {"Bearer 0123456789abcdef"},
			"Idempotency-Key":      nil,
		}}
	return r.WithContext(ctx)
}

// echo is a connection in memory, whose other end answers each request at once.
type echo struct {
	net.Conn
	answer string
	left   string
}

func (e *echo) Write(p []byte) (int, error) {
	e.left = e.answer
	return len(p), nil
}

func (e *echo) Read(p []byte) (int, error) {
	n := copy(p, e.left)
	e.left = e.left[n:]
	return n, nil
}

func (e *echo) Close() error                { return nil }
func (e *echo) SetDeadline(time.Time) error { return nil }

// BenchmarkDirect is what an exchange costs besides the system calls.
func BenchmarkDirect(b *testing.B) {
	const answer = "HTTP/1.1 200 OK\r\nDate: Mon, 21 Sep 2026 10:00:00 GMT\r\nContent-Length: 0\r\n\r\n"
	pool := newIdlePool(10, time.Minute)
	defer pool.closeAll()
	d := &direct{idle: pool, dial: func(context.Context, string, string) (net.Conn, error) { return &echo{answer: answer}, nil }}
	u := &url.URL{Scheme: "http", Host: "hooks.example", Path: "/webhooks/in", RawQuery: "source=postrider"}
	body := []byte(strings.Repeat("x", 1<<10))
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	r := likeDispatch(ctx, u, body)
	b.ReportAllocs()
	for b.Loop() {
		r.Body = io.NopCloser(bytes.NewReader(body))
		response, err := d.RoundTrip(r)
		if err != nil {
			b.Fatal(err)
		}
		response.Body.Close()
	}
}

// BenchmarkWriteRequest compares with net/http.
func BenchmarkWriteRequest(b *testing.B) {
	u := &url.URL{Scheme: "http", Host: "hooks.example", Path: "/webhooks/in", RawQuery: "source=postrider"}
	body := []byte(strings.Repeat("x", 1<<10))
	for name, write := range map[string]func(*bufio.Writer, *http.Request) error{"direct": new(requestWriter).write,
		"net-http": func(w *bufio.Writer, r *http.Request) error { return r.Write(w) }} {
		b.Run(name, func(b *testing.B) {
			w := bufio.NewWriter(io.Discard)
			r := likeDispatch(b.Context(), u, body)
			b.ReportAllocs()
			for b.Loop() {
				w.Reset(io.Discard)
				r.Body = io.NopCloser(bytes.NewReader(body))
				if err := write(w, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReadResponse compares with net/http.
func BenchmarkReadResponse(b *testing.B) {
	const answer = "HTTP/1.1 200 OK\r\nServer: nginx/1.25.3\r\nDate: Mon, 21 Sep 2026 10:00:00 GMT\r\nContent-Type: application/json\r\n" +
		"Content-Length: 11\r\nConnection: keep-alive\r\nX-Request-Id: 2d9c1a40\r\nETag: W/\"b-Ai2R8hgEarLm\"\r\n\r\n{\"ok\":true}"
	for name, read := range map[string]func(*bufio.Reader, *http.Request) (*http.Response, error){"direct": readResponse, "net-http": http.ReadResponse} {
		b.Run(name, func(b *testing.B) {
			from, r := strings.NewReader(answer), &http.Request{Method: http.MethodPost}
			in := bufio.NewReader(from)
			b.ReportAllocs()
			for b.Loop() {
				from.Reset(answer)
				in.Reset(from)
				if _, err := in.Peek(1); err != nil {
					b.Fatal(err)
				}
				response, err := read(in, r)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, response.Body)
			}
		})
	}
}
