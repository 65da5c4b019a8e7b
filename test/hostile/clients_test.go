package hostile

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/test/harness"
)

// session is a connection to the API, by hand.
type session struct {
	net.Conn
	in *bufio.Reader
}

func connect(s *harness.Server) (*session, error) {
	c, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(harness.Patience))
	return &session{c, bufio.NewReader(c)}, nil
}

// ends reads until the server closes, and returns the statuses that it answered on the way.
func (s *session) ends(t *testing.T) (statuses []int) {
	t.Helper()
	for {
		r, err := http.ReadResponse(s.in, nil)
		if err != nil {
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() { //nolint:errorlint // a connection's own
				t.Error("the server keeps the connection")
			}
			return statuses
		}
		_, _ = io.Copy(io.Discard, r.Body)
		statuses = append(statuses, r.StatusCode)
	}
}

// head is a request's head, without the empty line.
func head(s *harness.Server, path string, more ...string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + s.Key + "\r\nPostrider-Event-Type: a.b\r\n" + strings.Join(more, "")
}

// TestClients has clients that break off, trickle, or send too much: each gets the right status, or is cut off, in time.
func TestClients(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, t.TempDir(), "--max-payload", "1MiB", "--log-level", "warn")
	for name, c := range map[string]struct {
		begin, repeat string
		every         time.Duration // between repetitions; 0: none
		want          []int
		slow          bool
	}{
		"trickles its head":       {begin: "GET /webhooks/targets HTTP/1.1\r\nHost: x\r\nX: ", repeat: "x", every: 100 * time.Millisecond, slow: true},
		"sends nothing":           {slow: true},
		"a head without end":      {begin: "GET /webhooks/targets HTTP/1.1\r\nHost: x\r\n", repeat: "X: " + strings.Repeat("x", 1000) + "\r\n", want: []int{431}},
		"a header that is long":   {begin: "GET /webhooks/targets HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 128<<10) + "\r\n\r\n", want: []int{431}},
		"a path that is long":     {begin: "GET /" + strings.Repeat("x", 128<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", want: []int{431}},
		"no HTTP":                 {begin: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", want: []int{400}},
		"two lengths":             {begin: head(s, "/webhooks/events", "Content-Length: 1\r\nContent-Length: 2\r\n\r\n"), want: []int{400}},
		"a length and chunks":     {begin: head(s, "/webhooks/events", "Connection: close\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), want: []int{202}},
		"a body without end":      {begin: head(s, "/webhooks/events", "Transfer-Encoding: chunked\r\n\r\n"), repeat: "400\r\n" + strings.Repeat("x", 1024) + "\r\n", want: []int{413}},
		"a body that is too long": {begin: head(s, "/webhooks/events", "Content-Length: 9000000000\r\n\r\n"), repeat: strings.Repeat("x", 1024), want: []int{413}},
		"trickles its body":       {begin: head(s, "/webhooks/events", "Content-Length: 1000\r\n\r\n"), repeat: "x", every: 100 * time.Millisecond, want: []int{408}, slow: true},
		"stalls in its body":      {begin: head(s, "/webhooks/targets", "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"), want: []int{408}, slow: true},
		"a body with no key":      {begin: "POST /webhooks/events HTTP/1.1\r\nHost: x\r\nContent-Length: 900000000\r\n\r\n", repeat: strings.Repeat("x", 1024), want: []int{401}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.slow && testing.Short() {
				t.Skip("it waits for a timeout of the server's")
			}
			conn, err := connect(s)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { send(ctx, conn, c.begin, c.repeat, c.every) })
			got := conn.ends(t)
			if len(got) == 0 && len(c.want) > 0 && (strings.Contains(name, "end") || strings.Contains(name, "long") || strings.Contains(name, "no key")) {
				t.Log("the answer was lost: the server closed while the client still sent")
			} else if !slices.Equal(got, c.want) {
				t.Errorf("answers %v, want %v", got, c.want)
			}
			cancel()
			conn.Close()
			wg.Wait()
		})
	}
}

func send(ctx context.Context, w io.Writer, begin, repeat string, every time.Duration) {
	if _, err := io.WriteString(w, begin); err != nil || repeat == "" {
		return
	}
	for ctx.Err() == nil {
		if every > 0 {
			select {
			case <-time.After(every):
			case <-ctx.Done():
			}
		}
		if _, err := io.WriteString(w, repeat); err != nil {
			return
		}
	}
}

// TestJSON has bodies that are made to cost much for their size.
func TestJSON(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, t.TempDir(), "--log-level", "warn")
	deep := strings.Repeat("[", 500_000)
	members := strings.Builder{}
	for i := range 2_000_000 {
		fmt.Fprintf(&members, `"%x":1,`, i)
	}
	wide := "{" + members.String() + `"x":1}`
	for name, c := range map[string]struct {
		path, body string
		want       int
	}{
		"nested target":        {"/webhooks/targets", deep, http.StatusBadRequest},
		"nested field":         {"/webhooks/targets", `{"url":` + strings.Repeat(`{"a":`, 150_000), http.StatusBadRequest},
		"nested batch":         {"/webhooks/events/batch", deep, http.StatusBadRequest},
		"nested payload":       {"/webhooks/events/batch", `[{"eventType":"a.b","payload":` + deep, http.StatusBadRequest},
		"nested and closed":    {"/webhooks/events/batch", `[{"eventType":"a.b","payload":` + deep + strings.Repeat("]", 500_000) + "}]", http.StatusBadRequest},
		"many members":         {"/webhooks/events/batch", "[" + wide + "]", http.StatusUnprocessableEntity},
		"many members, entity": {"/webhooks/targets", wide[:900_000] + `":1}`, http.StatusUnprocessableEntity},
		"many items":           {"/webhooks/events/batch", "[" + strings.Repeat("1,", 10_000_000) + "1]", http.StatusUnprocessableEntity},
		"many faults":          {"/webhooks/filters", `{"events":[` + strings.Repeat(`"",`, 300_000) + `""]}`, http.StatusUnprocessableEntity},
		"a long number":        {"/webhooks/subscriptions", `{"targetId":` + strings.Repeat("9", 900_000) + `,"filterId":1}`, http.StatusUnprocessableEntity},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := s.Call(t.Context(), http.MethodPost, c.path, []byte(c.body), "Content-Type: application/json")
			if err != nil {
				t.Fatal(err)
			}
			if a.Status != c.want || len(a.Body) > 1<<20 {
				t.Errorf("status %d, want %d; %d bytes: %.200s", a.Status, c.want, len(a.Body), a.Body)
			}
		})
	}
	_, peak := s.Memory()
	t.Logf("peak %d MiB", peak>>20)
	if peak > 300<<20 {
		t.Errorf("the process grew to %d MiB", peak>>20)
	}
}

const (
	guessers = 4
	pourers  = 20
)

// badClients are clients that hold connections, trickle, and ask with keys that are none, until ctx ends.
func badClients(ctx context.Context, s *harness.Server, wg *sync.WaitGroup) {
	for range 300 { // hold a connection, trickling a head or nothing
		wg.Go(func() {
			for ctx.Err() == nil {
				if c, err := connect(s); err == nil {
					stop := context.AfterFunc(ctx, func() { c.Close() })
					send(ctx, c, "GET / HTTP/1.1\r\nX: ", "x", 200*time.Millisecond)
					stop()
					c.Close()
				}
			}
		})
	}
	for range guessers { // as fast as they can, ask with a key that is none, each time another one
		wg.Go(func() {
			for ctx.Err() == nil {
				key := make([]byte, 24)
				_, _ = rand.Read(key) // it never fails
				if a, err := s.Call(ctx, http.MethodGet, "/webhooks/targets", nil, "Authorization: Bearer "+base64.URLEncoding.EncodeToString(key)); err == nil && a.Status != http.StatusUnauthorized {
					return
				}
			}
		})
	}
	for range pourers { // send bodies without end; not faster than this, since they share the test's processors with what is measured
		wg.Go(func() {
			for tick := time.Tick(100 * time.Millisecond); ctx.Err() == nil; <-tick {
				if c, err := connect(s); err == nil {
					stop := context.AfterFunc(ctx, func() { c.Close() })
					send(ctx, c, "POST /webhooks/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "400\r\n"+strings.Repeat("x", 1024)+"\r\n", 0)
					stop()
					c.Close()
				}
			}
		})
	}
}

// processorSeconds is what the server has used so far.
func processorSeconds(t *testing.T, s *harness.Server) (seconds float64) {
	t.Helper()
	for line := range strings.Lines(string(s.Do(t, http.StatusOK, http.MethodGet, "/metrics", nil, nil).Body)) {
		if n, _ := fmt.Sscanf(line, "process_cpu_seconds_total %g", &seconds); n == 1 {
			return seconds
		}
	}
	return 0
}

// TestBadClientsAndDispatch has good clients beside bad ones: whatever is published arrives. How much longer it takes is held where it is
// measured, although a part of it is what the bad clients themselves, on the same machine, take of the processors.
func TestBadClientsAndDispatch(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, t.TempDir(), "--log-level", "warn")
	r := harness.NewReceiver(t, nil)
	s.Subscribe(t, s.Target(t, r.URL).ID, []string{"*"})
	const publishers, each = 8, 40
	pairs := 3
	if harness.Measures() {
		pairs = 7
	}
	arrived := 0
	round := func() time.Duration {
		start := time.Now()
		var wg sync.WaitGroup
		for range publishers {
			wg.Go(func() {
				for range each {
					a, err := s.Call(t.Context(), http.MethodPost, "/webhooks/events", []byte("{}"), "Postrider-Event-Type: a.b")
					if err != nil || a.Status != http.StatusAccepted {
						t.Errorf("%d, %v beside bad clients", a.Status, err)
						return
					}
				}
			})
		}
		wg.Wait()
		arrived += publishers * each
		r.AwaitCount(t, arrived)
		return time.Since(start)
	}
	round() // warm
	var ratios, costs []float64
	for range pairs {
		idle := processorSeconds(t, s)
		without := round()
		alone := processorSeconds(t, s) - idle
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		badClients(ctx, s, &wg)
		busy := processorSeconds(t, s)
		with := round()
		costs = append(costs, (processorSeconds(t, s)-busy)/max(alone, 0.001))
		cancel()
		wg.Wait()
		ratios = append(ratios, float64(with)/float64(without))
	}
	slices.Sort(costs)
	t.Logf("the server's processor time with bad clients ÷ without: %.2f (%.2f)", costs[pairs/2], costs)
	harness.Hold(t, "the time for what good clients publish beside bad ones", ratios, float64(publishers+guessers+pourers)/publishers) // their share, by number
}
