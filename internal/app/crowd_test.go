package app

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"
)

// crowdServer has two places. A request to /hold tells inside, and is served until release is closed.
func crowdServer(t *testing.T) (s *server, inside, release chan struct{}) {
	t.Helper()
	inside, release = make(chan struct{}, 2), make(chan struct{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s = serve(l, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			inside <- struct{}{}
			<-release
		}
	}), 2, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { _ = s.http.Close() })
	return s, inside, release
}

type client struct {
	net.Conn
	in *bufio.Reader
}

func dialed(t *testing.T, addr string) *client {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return &client{c, bufio.NewReader(c)}
}

func (c *client) send(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func (c *client) status(t *testing.T) int {
	t.Helper()
	r, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, r.Body)
	return r.StatusCode
}

// gone reports whether the server closed the connection without an answer.
func (c *client) gone() bool {
	_, err := c.in.ReadByte()
	return err != nil
}

func TestCrowd(t *testing.T) {
	t.Parallel()
	s, inside, release := crowdServer(t)
	addr := s.listener.Addr().String()
	loris := dialed(t, addr)
	loris.send(t, "GET / HTTP/1.1\r\nHo")
	first := dialed(t, addr)
	first.send(t, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
	<-inside
	second := dialed(t, addr) // takes the place of the one that trickles its head
	second.send(t, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
	<-inside
	if !loris.gone() {
		t.Error("a connection without a request was kept")
	}
	third := dialed(t, addr)
	if got := third.status(t); got != http.StatusServiceUnavailable || !third.gone() {
		t.Errorf("status %d of a client that finds every place taken", got)
	}
	close(release)
	if a, b := first.status(t), second.status(t); a != http.StatusOK || b != http.StatusOK {
		t.Errorf("status %d and %d of requests that were being served", a, b)
	}
	for range 1000 { // until the server has seen that one of them is idle
		fourth := dialed(t, addr)
		fourth.send(t, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if got := fourth.status(t); got == http.StatusOK {
			return
		}
	}
	t.Error("a client finds no place though nobody is served")
}

// TestStopBesideConnectionsWithoutRequest stops while a client holds a connection without a request: it is no request to wait for.
func TestStopBesideConnectionsWithoutRequest(t *testing.T) {
	t.Parallel()
	s, _, _ := crowdServer(t)
	fresh, loris := dialed(t, s.listener.Addr().String()), dialed(t, s.listener.Addr().String())
	loris.send(t, "GET / HTTP/1.1\r\nHo")
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second) // net/http itself waits 5 s for a connection that is new
	defer cancel()
	if err := s.stop(ctx); err != nil {
		t.Error(err)
	}
	if !fresh.gone() || !loris.gone() {
		t.Error("a connection outlives the server")
	}
}
