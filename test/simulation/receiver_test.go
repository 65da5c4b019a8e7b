package simulation

import (
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// arrival is a message that a receiver got whole.
type arrival struct {
	event   string
	attempt int
	replay  int
	digest  [32]byte
	from    time.Time
	until   time.Time // when it was answered
	status  int
}

// receiver is a target that keeps a ledger, and answers as its temper has it.
type receiver struct {
	name     string
	accepted chan net.Conn
	closed   chan struct{}
	server   *http.Server

	mu       sync.Mutex
	random   *rand.Rand
	temper   temper
	disable  bool      // the next message is answered with 410
	gone     time.Time // when one was
	arrivals []arrival
}

// temper is how a receiver behaves until it is healed.
type temper struct {
	fails   float64       // share of attempts that are answered with an error
	slow    time.Duration // the longest time to answer
	hangs   float64       // share of attempts that are never answered
	later   bool          // errors carry Retry-After
	refuses float64       // share of connections that are refused
	healthy time.Time     // from here on all is well
}

func newReceiver(name string, random *rand.Rand, t temper) *receiver {
	r := &receiver{name: name, accepted: make(chan net.Conn), closed: make(chan struct{}), random: random, temper: t}
	r.server = &http.Server{Handler: r}
	go r.server.Serve(r)
	return r
}

// ServeHTTP takes a message.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	a := arrival{event: req.Header.Get("webhook-id"), from: time.Now(), status: http.StatusOK}
	a.attempt, _ = strconv.Atoi(req.Header.Get("Postrider-Attempt"))
	a.replay, _ = strconv.Atoi(req.Header.Get("Postrider-Replay")) // absent: 0
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // it did not arrive
	}
	a.digest = sha256.Sum256(body)
	pause, later := r.decide(&a)
	select {
	case <-time.After(pause):
	case <-req.Context().Done(): // the sender gave up, or is no more
		a.status = 0
	}
	a.until = time.Now()
	r.mu.Lock()
	r.arrivals = append(r.arrivals, a)
	r.mu.Unlock()
	if a.status == 0 {
		return
	}
	if later {
		w.Header().Set("Retry-After", "3")
	}
	w.WriteHeader(a.status)
}

// refuses reports whether a connection is refused now.
func (r *receiver) refuses() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Before(r.temper.healthy) && r.random.Float64() < r.temper.refuses
}

// disableOnce has the next message answered with 410, which turns the target off, or does so no longer. It returns when a message was
// answered so the last time.
func (r *receiver) disableOnce(yes bool) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.disable = yes
	return r.gone
}

// decide draws how a message is answered, and when.
func (r *receiver) decide(a *arrival) (pause time.Duration, later bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.disable {
		r.disable, r.gone = false, time.Now()
		a.status = http.StatusGone
		return 0, false
	}
	if a.from.After(r.temper.healthy) {
		return 0, false
	}
	if r.temper.slow > 0 {
		pause = time.Duration(r.random.Int64N(int64(r.temper.slow)))
	}
	if r.random.Float64() < r.temper.hangs {
		return time.Hour, false
	}
	if r.random.Float64() < r.temper.fails {
		a.status = []int{500, 503, 429, 404, 302}[r.random.IntN(5)]
		return pause, r.temper.later
	}
	return pause, false
}

// Accept takes the next connection.
func (r *receiver) Accept() (net.Conn, error) {
	select {
	case c := <-r.accepted:
		return c, nil
	case <-r.closed:
		return nil, net.ErrClosed
	}
}

// Close closes the listener.
func (r *receiver) Close() error {
	select {
	case <-r.closed:
	default:
		close(r.closed)
	}
	return nil
}

// Addr is not used by anybody.
func (r *receiver) Addr() net.Addr { return &net.TCPAddr{} }
