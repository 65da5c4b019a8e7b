package egress_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/egress"
)

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

// script is a receiver that does with the requests of each connection what a function says; n counts connections from 1.
type script struct {
	dials atomic.Int32
	serve func(n int, conn net.Conn, in *bufio.Reader)
}

func (s *script) dial(context.Context, string, string) (net.Conn, error) {
	n := int(s.dials.Add(1))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		defer l.Close()
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		s.serve(n, conn, bufio.NewReader(conn))
	}()
	return net.Dial("tcp", l.Addr().String())
}

// request reads one request; false at the end of the connection.
func request(in *bufio.Reader) bool {
	r, err := http.ReadRequest(in)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, r.Body)
	return err == nil
}

func scripted(t *testing.T, serve func(n int, conn net.Conn, in *bufio.Reader), change ...func(*egress.Options)) (*script, *egress.Guard) {
	t.Helper()
	s := &script{serve: serve}
	o := egress.Options{Dial: s.dial, Resolver: &names{answers: map[string][][]netip.Addr{"hooks.example": {addrs("93.184.216.34")}}}}
	for _, f := range change {
		f(&o)
	}
	g := newGuard(t, o)
	t.Cleanup(g.CloseIdle)
	return s, g
}

// post sends a body and reads the response whole, within ten seconds.
func post(t *testing.T, g *egress.Guard, body string) (int, string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://hooks.example/", bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, "", err
	}
	response, err := g.Transport(false).RoundTrip(r)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	return response.StatusCode, string(read), err
}

// TestConnectionsAreUsedAgain: each receiver answers four requests; how many connections that takes tells whether one was used again.
func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer string
		dials  int32
	}{
		"length":               {ok, 1},
		"chunks":               {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 1},
		"after informational":  {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok, 1},
		"says close":           {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", 4},
		"HTTP/1.0":             {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 4},
		"more than was asked":  {ok + ok, 4},
		"bytes after the last": {ok + "x", 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, g := scripted(t, func(_ int, conn net.Conn, in *bufio.Reader) {
				for request(in) {
					io.WriteString(conn, c.answer)
				}
			})
			for range 4 {
				if status, body, err := post(t, g, "hello"); status != http.StatusOK || body != "hi" || err != nil {
					t.Fatalf("%d %q %v", status, body, err)
				}
			}
			if n := s.dials.Load(); n != c.dials {
				t.Errorf("%d connections, want %d", n, c.dials)
			}
		})
	}
}

// TestDeadConnections: a connection that died while it was idle costs no attempt.
func TestDeadConnections(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]func(int, net.Conn, *bufio.Reader){
		"closed after the answer": func(_ int, conn net.Conn, in *bufio.Reader) {
			request(in)
			io.WriteString(conn, ok)
		},
		"closed at the next request": func(n int, conn net.Conn, in *bufio.Reader) {
			request(in)
			io.WriteString(conn, ok)
			if n == 1 {
				request(in)
			} else {
				for request(in) {
					io.WriteString(conn, ok)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, g := scripted(t, serve)
			for range 4 {
				if status, body, err := post(t, g, "hello"); status != http.StatusOK || body != "hi" || err != nil {
					t.Fatalf("%d %q %v", status, body, err)
				}
			}
		})
	}
}

// TestUnaskedAnswer: what comes on an idle connection is no answer to the next request.
func TestUnaskedAnswer(t *testing.T) {
	t.Parallel()
	read, written := make(chan struct{}), make(chan struct{})
	s, g := scripted(t, func(n int, conn net.Conn, in *bufio.Reader) {
		request(in)
		if n > 1 {
			io.WriteString(conn, "HTTP/1.1 500 no\r\nContent-Length: 0\r\n\r\n")
			return
		}
		io.WriteString(conn, ok)
		<-read
		io.WriteString(conn, ok)
		close(written)
		request(in)
	})
	if status, _, err := post(t, g, "one"); status != http.StatusOK || err != nil {
		t.Fatal(status, err)
	}
	close(read)
	<-written
	if status, _, err := post(t, g, "two"); status != http.StatusInternalServerError || err != nil {
		t.Errorf("%d %v: an answer that came before its request was taken for one", status, err)
	}
	if n := s.dials.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

func TestNoResponse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer, want string
	}{
		"closed":            {"", "EOF"},
		"cut in the head":   {"HTTP/1.1 200 OK\r\nX-A: ", "unexpected EOF"},
		"not HTTP":          {"SSH-2.0-OpenSSH_9.6\r\n", "malformed"},
		"endless headers":   {"HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: "+strings.Repeat("a", 1000)+"\r\n", 100), "exceeded"},
		"one long line":     {"HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("a", 100<<10), "exceeded"},
		"endless 1xx":       {strings.Repeat("HTTP/1.1 103 Early Hints\r\nX-A: "+strings.Repeat("a", 1000)+"\r\n\r\n", 100), "exceeded"},
		"a length twice":    {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nhi", "Content-Length"},
		"an unknown coding": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhi", "transfer encoding"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, g := scripted(t, func(_ int, conn net.Conn, in *bufio.Reader) {
				request(in)
				io.WriteString(conn, c.answer)
			})
			_, _, err := post(t, g, "hello")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if n := s.dials.Load(); n != 1 {
				t.Errorf("%d connections: a request on a new one is not repeated", n)
			}
		})
	}
}

// TestAnsweredUnread: a receiver may answer before it has read the body, and close.
func TestAnsweredUnread(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"small": 100, "the largest that goes directly": 16 << 10, "larger": 4 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, g := scripted(t, func(_ int, conn net.Conn, in *bufio.Reader) {
				in.ReadString('\n')
				io.WriteString(conn, "HTTP/1.1 413 too large\r\nContent-Length: 0\r\n\r\n")
				<-t.Context().Done() // a close with bytes unread would reset the connection, with the answer in it
			})
			if status, _, err := post(t, g, strings.Repeat("x", size)); status != http.StatusRequestEntityTooLarge || err != nil {
				t.Errorf("%d %v", status, err)
			}
		})
	}
}

// TestContextEndsExchange: the end of the context ends the wait for a response, and for its body.
func TestContextEndsExchange(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{"no answer": "", "half a head": "HTTP/1.1 200 OK\r\n", "half a body": "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhi"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked, gone := make(chan struct{}), make(chan struct{})
			_, g := scripted(t, func(_ int, conn net.Conn, in *bufio.Reader) {
				defer close(gone)
				request(in)
				io.WriteString(conn, answer)
				close(asked)
				io.Copy(io.Discard, in)
			})
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-asked; cancel() }()
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://hooks.example/", strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
			response, err := g.Transport(false).RoundTrip(r)
			if err == nil {
				_, err = io.ReadAll(response.Body)
				response.Body.Close()
			} else if !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
			if err == nil {
				t.Error("it read what was never sent")
			}
			<-gone
		})
	}
}

// TestIdleConnections: only so many are kept, and only for so long.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var dials, open atomic.Int32
		hold, held := make(chan struct{}), make(chan struct{}, 3)
		resolver := &names{answers: map[string][][]netip.Addr{"hooks.example": {addrs("93.184.216.34")}}}
		g := newGuard(t, egress.Options{Resolver: resolver, MaxIdle: 2, Dial: func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			dials.Add(1)
			open.Add(1)
			go func() {
				defer open.Add(-1)
				defer far.Close()
				for in := bufio.NewReader(far); request(in); {
					held <- struct{}{}
					<-hold
					io.WriteString(far, ok)
				}
			}()
			return near, nil
		}})
		for range 3 {
			go post(t, g, "x")
		}
		for range 3 {
			<-held
		}
		close(hold)
		synctest.Wait()
		if dials.Load() != 3 || open.Load() != 2 {
			t.Errorf("%d connections made, %d kept, want 3 and 2", dials.Load(), open.Load())
		}
		time.Sleep(egress.IdleTimeout / 2)
		post(t, g, "x")
		time.Sleep(egress.IdleTimeout/2 + time.Second)
		synctest.Wait()
		if dials.Load() != 3 || open.Load() != 1 {
			t.Errorf("%d connections made, %d kept, want 3 and the one that was used", dials.Load(), open.Load())
		}
		time.Sleep(egress.IdleTimeout)
		synctest.Wait()
		if open.Load() != 0 {
			t.Errorf("%d connections kept", open.Load())
		}
	})
}
