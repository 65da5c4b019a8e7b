package dispatch_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/sign"
)

// loopback makes a world with real connections on loopback. The wait for outcomes ends with the test's own deadline.
func loopback(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	transport := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10}
	w.options.Transport = func(bool) http.RoundTripper { return transport }
	t.Cleanup(transport.CloseIdleConnections)
	return w
}

func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s
}

// await waits until there are n outcomes.
func (w *world) await(n int) []postrider.Outcome {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	for {
		if o := w.outcomes(); len(o) >= n {
			return o
		}
		select {
		case <-w.changed:
		case <-ctx.Done():
			w.t.Fatalf("%d outcomes, want %d", len(w.outcomes()), n)
		}
	}
}

// TestStoredURLs sends to URLs that the API takes no more and that were stored before: what may not stand in a request line is encoded,
// and all else stays as it was given.
func TestStoredURLs(t *testing.T) {
	t.Parallel()
	w := loopback(t)
	got := make(chan string, 9)
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.RequestURI })
	want := map[string]bool{}
	for n, c := range [][2]string{
		{"/a?q=two words&x=%20&y=a+b", "/a?q=two%20words&x=%20&y=a+b"}, {"/b c?q=ä\xff", "/b%20c?q=%C3%A4%FF"}, {`/c?q={"a":[1|2]}^`, `/c?q={"a":[1|2]}^`},
	} {
		w.subscribe("t", int64(n+1), func(x *postrider.Target) { x.URL = s.URL + c[0] })
		want[c[1]] = true
	}
	stop := w.run()
	w.send(event("t", "x"), 1, 2, 3)
	for _, o := range w.await(3) {
		if o.Attempt.Class != postrider.ClassOK {
			t.Errorf("the attempt ends as %s: %s", o.Attempt.Class, o.Attempt.Error)
		}
	}
	stop()
	close(got)
	for uri := range got {
		if !want[uri] {
			t.Errorf("the request line has %s", uri)
		}
	}
}

// TestMessage checks what a receiver gets, with the published library.
func TestMessage(t *testing.T) {
	t.Parallel()
	w := loopback(t)
	payload := strings.Repeat("\x00\xff{\"a\":1}\r\n", 10_000)
	type got struct {
		header http.Header
		body   []byte
		length int64
		host   string
	}
	received := make(chan got, 1)
	s := serve(t, func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		received <- got{r.Header, body, r.ContentLength, r.Host}
		rw.WriteHeader(http.StatusAccepted)
		fmt.Fprint(rw, strings.Repeat("h", 5000))
	})
	w.subscribe("t", 1, func(x *postrider.Target) {
		x.URL = s.URL + "/hook?x=1"
		x.SealedHeaders = []byte(`{"authorization": "Bearer x", "X-Own": "1"}`)
		x.Secrets = append(x.Secrets, postrider.Secret{Sealed: secret(2), ExpiresAt: time.Now().Add(time.Hour)})
	})
	stop := w.run()
	defer stop()
	e := event("t", payload)
	e.ContentType, e.Trace = "application/octet-stream", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	d := deliveryOf(e, 1)
	d.Generation, d.Attempts, d.Earlier = 2, 5, 5
	w.put(&postrider.Pack{Tenant: "t", Deliveries: []postrider.Delivery{d}})
	m := <-received
	if sha256.Sum256(m.body) != sha256.Sum256([]byte(payload)) || m.length != int64(len(payload)) {
		t.Errorf("%d bytes came, length %d", len(m.body), m.length)
	}
	for name, want := range map[string]string{"Content-Type": "application/octet-stream", "Webhook-Id": e.ID, "Postrider-Event-Type": "a.b",
		"Postrider-Attempt": "6", "Postrider-Replay": "2", "User-Agent": "Postrider/test", "Traceparent": "", "Authorization": "Bearer x",
		"X-Own": "1", "Idempotency-Key": "", "Accept-Encoding": ""} {
		if have := m.header.Get(name); have != want {
			t.Errorf("%s: %q, want %q", name, have, want)
		}
	}
	for _, n := range []int{1, 2} {
		receiver, err := standardwebhooks.NewWebhookRaw(secret(n))
		if err != nil {
			t.Fatal(err)
		}
		if err := receiver.Verify(m.body, m.header); err != nil {
			t.Error(err)
		}
	}
	o := w.await(1)[0]
	if o.State != postrider.StateDelivered || o.Attempts != 6 || o.Attempt.Number != 6 || o.Attempt.Status != 202 || string(o.Attempt.Head) != strings.Repeat("h", 1024) {
		t.Errorf("outcome %+v", o)
	}
}

func TestDefaultContentTypeAndEmptyPayload(t *testing.T) {
	t.Parallel()
	w := loopback(t)
	received := make(chan *http.Request, 1)
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { received <- r })
	w.subscribe("t", 1, func(x *postrider.Target) { x.URL = s.URL })
	stop := w.run()
	defer stop()
	w.send(event("t", ""), 1)
	r := <-received
	if r.Header.Get("Content-Type") != "application/json" || r.ContentLength != 0 || r.Header.Get("Postrider-Replay") != "" {
		t.Errorf("%v, length %d", r.Header, r.ContentLength)
	}
	if err := sign.Verify([]*sign.Key{sign.NewKey(secret(1))}, r.Header, nil, time.Now()); err != nil {
		t.Error(err)
	}
	w.await(1)
}

// TestReusedConnectionThatDied has a server that closes each connection after one answer, when the next request comes.
func TestReusedConnectionThatDied(t *testing.T) {
	t.Parallel()
	w := loopback(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var connections, requests atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			go answerOnce(c, &requests)
		}
	}()
	w.subscribe("t", 1, func(x *postrider.Target) { x.URL = "http://" + l.Addr().String() })
	w.options.TargetMaxInFlight = 1
	stop := w.run()
	defer stop()
	for n := 1; n <= 3; n++ {
		w.send(event("t", strings.Repeat("x", 100)), 1)
		o := w.await(n)[n-1]
		if o.State != postrider.StateDelivered || o.Attempts != 1 {
			t.Fatalf("attempt %d: %s %+v", n, o.State, o.Attempt)
		}
	}
	if connections.Load() != 3 || requests.Load() != 5 {
		t.Errorf("%d connections and %d requests, want 3 and 5", connections.Load(), requests.Load())
	}
}

// answerOnce answers the first request of a connection, reads the second, and closes.
func answerOnce(c net.Conn, requests *atomic.Int64) {
	defer c.Close()
	r := bufio.NewReader(c)
	for n := range 2 {
		request, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, request.Body)
		requests.Add(1)
		if n == 0 {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	}
}

// TestBodyChangesNothing has responses whose bodies stall, break, or have no end.
func TestBodyChangesNothing(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]func(rw http.ResponseWriter, r *http.Request){
		"stalls": func(rw http.ResponseWriter, r *http.Request) {
			fmt.Fprint(rw, "begin")
			_ = http.NewResponseController(rw).Flush()
			<-r.Context().Done()
		},
		"breaks": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Length", "100")
			fmt.Fprint(rw, "begin")
			_ = http.NewResponseController(rw).Flush()
			panic(http.ErrAbortHandler)
		},
		"has no end": func(rw http.ResponseWriter, r *http.Request) {
			fmt.Fprint(rw, "begin")
			for chunk := make([]byte, 32<<10); r.Context().Err() == nil; {
				if _, err := rw.Write(chunk); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := loopback(t)
			w.options.Timeout = time.Second
			s := serve(t, func(rw http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				body(rw, r)
			})
			w.subscribe("t", 1, func(x *postrider.Target) { x.URL = s.URL })
			stop := w.run()
			defer stop()
			w.send(event("t", "{}"), 1)
			o := w.await(1)[0]
			if o.State != postrider.StateDelivered || !strings.HasPrefix(string(o.Attempt.Head), "begin") {
				t.Errorf("%s %+v", o.State, o.Attempt)
			}
		})
	}
}
