package hostile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/postrider/postrider/test/harness"
)

// h2Connect speaks HTTP/2 to the API, which takes it without TLS from who knows that it does.
func h2Connect(s *harness.Server, settings ...http2.Setting) (*h2, net.Conn, error) {
	c, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		return nil, nil, err
	}
	_ = c.SetDeadline(time.Now().Add(harness.Patience))
	h := &h2{Framer: http2.NewFramer(c, c)}
	h.encoder = hpack.NewEncoder(&h.block)
	if _, err = io.WriteString(c, http2.ClientPreface); err == nil {
		err = h.WriteSettings(settings...)
	}
	if err == nil {
		err = h.WriteSettingsAck()
	}
	return h, c, err
}

// get asks for a path on a stream.
func (s *h2) get(stream uint32, path string, more ...string) error {
	fields := s.fields(append([]string{":method", "GET", ":scheme", "http", ":authority", "x", ":path", path}, more...)...)
	first := fields[:min(len(fields), 16<<10)]
	rest := fields[len(first):]
	err := s.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndStream: true, EndHeaders: len(rest) == 0})
	for err == nil && len(rest) > 0 {
		n := min(len(rest), 16<<10)
		err = s.WriteContinuation(stream, n == len(rest), rest[:n])
		rest = rest[n:]
	}
	return err
}

// flood is what a hostile client writes until the server ends the connection. It returns what ended it.
type flood func(ctx context.Context, s *h2) error

func rapidReset(ctx context.Context, s *h2) error {
	for stream := uint32(1); ctx.Err() == nil; stream += 2 {
		if err := s.get(stream, "/webhooks/targets"); err != nil {
			return err
		}
		if err := s.WriteRSTStream(stream, http2.ErrCodeCancel); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// continuations begins a head that does not end.
func continuations(size int, every time.Duration) flood {
	return func(ctx context.Context, s *h2) error {
		fields := s.fields(":method", "GET", ":scheme", "http", ":authority", "x", ":path", "/")
		if err := s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: fields, EndStream: true}); err != nil {
			return err
		}
		filler := s.fields("x-filler", strings.Repeat("~", size))
		for ctx.Err() == nil {
			if err := s.WriteContinuation(1, false, filler); err != nil {
				return err
			}
			select {
			case <-time.After(every):
			case <-ctx.Done():
			}
		}
		return ctx.Err()
	}
}

func pings(ctx context.Context, s *h2) error {
	for ctx.Err() == nil {
		if err := s.WritePing(false, [8]byte{}); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// unread asks for much, again and again.
func unread(ctx context.Context, s *h2) error {
	for stream := uint32(1); ctx.Err() == nil; stream += 2 {
		if err := s.get(stream, "/openapi.json"); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// stalled asks for as much as it may at once, and then for nothing but a sign of life.
func stalled(ctx context.Context, s *h2) error {
	for stream := range uint32(100) {
		if err := s.get(2*stream+1, "/openapi.json"); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		if err := s.WritePing(false, [8]byte{}); err != nil {
			return err
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// TestHTTP2Clients has clients flood the API by HTTP/2, reading what is answered or not: the server ends each of them, with bounded memory,
// and serves others meanwhile.
func TestHTTP2Clients(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, t.TempDir(), "--log-level", "warn")
	for name, c := range map[string]struct {
		flood  flood
		reads  bool
		served bool // it may be served for as long as it floods
		slow   bool
	}{
		"rapid reset":                  {flood: rapidReset, reads: true, served: true},
		"rapid reset, nothing read":    {flood: rapidReset, slow: true},
		"continuations":                {flood: continuations(8<<10, 0), reads: true},
		"small continuations":          {flood: continuations(1, 0), reads: true},
		"continuations that trickle":   {flood: continuations(1, time.Second), reads: true, slow: true},
		"pings, nothing read":          {flood: pings, slow: true},
		"much asked for, nothing read": {flood: unread, slow: true},
		"a little, and nothing read":   {flood: stalled, slow: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.slow && testing.Short() {
				t.Skip("it waits for a timeout of the server's")
			}
			h, conn, err := h2Connect(s, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
			if err == nil {
				err = h.WriteWindowUpdate(0, 1<<30) // so that the connection alone holds answers up
			}
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if c.reads {
				go func() { _, _ = io.Copy(io.Discard, conn) }() // until the connection ends
			}
			ctx, cancel := context.WithCancel(t.Context())
			if c.served {
				ctx, cancel = context.WithTimeout(t.Context(), 5*time.Second)
			}
			defer cancel()
			begin := time.Now()
			err = c.flood(ctx, h)
			t.Logf("after %v: %v", time.Since(begin).Round(time.Millisecond), err)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the server keeps the connection")
			}
		})
	}
	t.Run("others are served", func(t *testing.T) {
		t.Parallel()
		r := harness.NewReceiver(t, nil)
		s.Subscribe(t, s.Target(t, r.URL).ID, []string{"*"})
		for range 100 {
			s.Publish(t, "a.b", []byte("{}"))
		}
		r.AwaitCount(t, 100)
	})
	t.Cleanup(func() { littleMemory(t, s) }) // once all have ended
}

func littleMemory(t *testing.T, s *harness.Server) {
	t.Helper()
	_, peak := s.Memory()
	t.Logf("peak %d MiB", peak>>20)
	if peak > 300<<20 {
		t.Errorf("the process grew to %d MiB", peak>>20)
	}
}

// TestUnreadAnswers has clients that hold what they are answered, with heads that are as large as they may be: what is held of each is
// bounded, and in all.
func TestUnreadAnswers(t *testing.T) {
	t.Parallel()
	const clients = 50
	s := harness.Start(t, t.TempDir(), "--log-level", "warn")
	filler := strings.Repeat("~", 15<<10)
	var wg sync.WaitGroup
	for range clients {
		h, conn, err := h2Connect(s, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		var ended sync.WaitGroup
		answered := make(chan struct{}, 10000)
		ended.Go(func() {
			for {
				f, err := h.ReadFrame()
				if err != nil {
					close(answered)
					return
				}
				if f.Header().Type == http2.FrameHeaders || f.Header().Type == http2.FrameRSTStream {
					answered <- struct{}{}
				}
			}
		})
		wg.Go(func() {
			for n := range uint32(250) { // those over the limit are refused
				if h.get(2*n+1, "/openapi.json", "x-a", filler, "x-b", filler, "x-c", filler, "x-d", filler) != nil {
					return
				}
				<-answered
			}
		})
	}
	wg.Wait()
	if a, err := s.Call(t.Context(), http.MethodGet, "/webhooks/targets", nil); err != nil || a.Status != http.StatusOK {
		t.Errorf("another client: %d, %v", a.Status, err)
	}
	littleMemory(t, s)
}

// TestPipelinedAndUnread has a client ask on one connection again and again, and read nothing: it is cut off.
func TestPipelinedAndUnread(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it waits for a timeout of the server's")
	}
	s := harness.Start(t, t.TempDir(), "--log-level", "warn")
	for i := range 20 {
		for range 10 {
			s.Target(t, fmt.Sprintf("http://127.0.0.1:9/%d%s", i, strings.Repeat("x", 1000)))
		}
	}
	request := "GET /webhooks/targets?limit=200 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + s.Key + "\r\n\r\n"
	var wg sync.WaitGroup
	for range 20 {
		conn, err := connect(s)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		wg.Go(func() {
			for {
				if _, err := io.WriteString(conn, request); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error("the server keeps the connection")
					return
				} else if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	littleMemory(t, s)
}
