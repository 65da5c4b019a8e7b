package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// directBody is the largest body of a request that is exchanged directly: it fits into a socket's buffer, so that a receiver that
// answers without reading it is heard.
const directBody = 16 << 10

var errHeadTooLarge = fmt.Errorf("the head of the response exceeded %d bytes", MaxResponseHeader)

// direct is a http.RoundTripper for HTTP/1.1 without TLS. The goroutine that calls it writes the request and reads the response
// itself, where net/http's Transport hands both to goroutines of the connection: for small messages on warm connections that is
// a fifth of what an exchange costs, both ends counted (BenchmarkExchange). What is on the wire, and how it is understood, is as with
// net/http (requestWriter, readResponse).
type direct struct {
	dial dialFunc
	idle *idlePool
}

// suits reports whether a request is one for direct.
func (d *direct) suits(r *http.Request) bool {
	return r.URL.Scheme == "http" && r.ContentLength >= 0 && r.ContentLength <= directBody && isASCII(r.URL.Host)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// RoundTrip makes one exchange, on an idle connection if there is one. If that turns out to be dead before the response began,
// the request is sent again on another, as net/http's Transport does with a request that has GetBody and says that it is
// idempotent. r's context bounds the exchange to the end of the response's body, which must be closed.
func (d *direct) RoundTrip(r *http.Request) (*http.Response, error) {
	addr := addrOf(r)
	for {
		c := d.idle.get(addr)
		reused := c != nil
		if !reused {
			conn, err := d.dial(r.Context(), "tcp", addr)
			if err != nil {
				return nil, err
			}
			c = newDirectConn(conn, addr, d.idle)
		}
		response, err := c.exchange(r)
		if err == nil || !reused || c.began || r.Context().Err() != nil {
			return response, err
		}
		if r.Body, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
}

func addrOf(r *http.Request) string {
	if r.URL.Port() == "" {
		return net.JoinHostPort(r.URL.Hostname(), "80")
	}
	return r.URL.Host
}

// exchange writes a request and reads the head of its response. The connection is closed after an error, and used again once the
// body has been read to its end.
func (c *directConn) exchange(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	c.began = false
	c.interrupt = context.AfterFunc(ctx, c.cutOff)
	unwritten := c.write(r)
	response, err := c.readHead(r)
	if err != nil {
		c.finish(false)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case unwritten != nil && !c.began:
			return nil, unwritten
		}
		return nil, err
	}
	reuse := unwritten == nil && !response.Close && response.StatusCode != http.StatusSwitchingProtocols
	if response.Body == http.NoBody {
		c.finish(reuse)
		return response, nil
	}
	response.Body = &directBodyReader{ReadCloser: response.Body, conn: c, reuse: reuse}
	return response, nil
}

func (c *directConn) write(r *http.Request) error {
	err := c.requests.write(c.writer, r)
	if err == nil {
		err = c.writer.Flush()
	}
	return err
}

// readHead reads the head of the final response; those before it (1xx) count against the same limit.
func (c *directConn) readHead(r *http.Request) (*http.Response, error) {
	c.limit.N = MaxResponseHeader
	if _, err := c.reader.Peek(1); err != nil {
		return nil, err
	}
	c.began = true
	for {
		response, err := readResponse(c.reader, r)
		switch {
		case err != nil && c.limit.N <= 0:
			return nil, errHeadTooLarge
		case err != nil:
			return nil, err
		case response.StatusCode >= 200 || response.StatusCode == http.StatusSwitchingProtocols:
			c.limit.N = 1 << 62 // how much is read of a body is its reader's business
			return response, nil
		}
	}
}

// directBodyReader is the body of a response. Read to its end it frees the connection for the next request; closed before that, it
// closes the connection.
type directBodyReader struct {
	io.ReadCloser
	conn  *directConn // nil: it is over
	reuse bool
}

func (b *directBodyReader) Read(p []byte) (int, error) {
	if b.conn == nil {
		return 0, io.EOF
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.end(b.reuse && errors.Is(err, io.EOF))
	}
	return n, err
}

// Close does not close the body that is read from: that would read on to its end.
func (b *directBodyReader) Close() error {
	b.end(false)
	return nil
}

func (b *directBodyReader) end(reuse bool) {
	if b.conn != nil {
		b.conn.finish(reuse)
		b.conn = nil
	}
}
