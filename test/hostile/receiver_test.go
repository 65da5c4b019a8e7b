package hostile

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// deed is what a hostile receiver does with one connection; done ends with the test. The connection is closed after it.
type deed func(c net.Conn, done <-chan struct{})

// raw starts a receiver that does a deed on every connection, and returns its address.
func raw(t *testing.T, do deed) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveRaw(t, l, do)
	return l.Addr().String()
}

func serveRaw(t *testing.T, l net.Listener, do deed) {
	t.Helper()
	done := make(chan struct{})
	var open sync.Map
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Store(c, nil)
			wg.Go(func() {
				defer c.Close()
				defer open.Delete(c)
				do(c, done)
			})
		}
	})
	t.Cleanup(func() {
		close(done)
		l.Close()
		open.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
		wg.Wait()
	})
}

// request reads one request whole.
func request(c net.Conn) error {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r.Body)
	return err
}

// answering reads the request, then writes what is given.
func answering(parts ...string) deed {
	return func(c net.Conn, _ <-chan struct{}) {
		if request(c) != nil {
			return
		}
		for _, p := range parts {
			if _, err := io.WriteString(c, p); err != nil {
				return
			}
		}
	}
}

// held does a deed, then keeps the connection open.
func held(do deed) deed {
	return func(c net.Conn, done <-chan struct{}) {
		do(c, done)
		_, _ = io.Copy(io.Discard, c) // until the other side gives up
	}
}

// reset does a deed, then breaks the connection by RST.
func reset(do deed) deed {
	return func(c net.Conn, done <-chan struct{}) {
		do(c, done)
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	}
}

// trickling reads the request, then writes a byte of text now and then, for ever.
func trickling(text string) deed {
	return func(c net.Conn, done <-chan struct{}) {
		if request(c) != nil {
			return
		}
		tick := time.NewTicker(30 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			if i == len(text) {
				i = strings.LastIndexByte(text, '\n') + 1 // the last line for ever
				if i == len(text) {
					i = 0
				}
			}
			if _, err := io.WriteString(c, text[i:i+1]); err != nil {
				return
			}
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}
}

// flooding reads the request, writes a beginning, then repeats text for ever.
func flooding(begin, text string) deed {
	return func(c net.Conn, _ <-chan struct{}) {
		if request(c) != nil {
			return
		}
		if _, err := io.WriteString(c, begin); err != nil {
			return
		}
		for {
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
	}
}

// bomb is a small gzip body that unpacks to n bytes.
func bomb(n int) string {
	var b strings.Builder
	w := gzip.NewWriter(&b)
	zeros := make([]byte, 1<<20)
	for ; n > 0; n -= len(zeros) {
		_, _ = w.Write(zeros) // a Builder takes all
	}
	_ = w.Close()
	return b.String()
}

func gzipped(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}
