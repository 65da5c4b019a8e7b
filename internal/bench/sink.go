package bench

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// sink is the receiver. It keeps the ledger of one measurement: events by their number, at targets by theirs.
type sink struct {
	mu      sync.Mutex
	run     string
	fan     int
	seen    bitmap
	seconds []uint32 // from publish to receipt, in microseconds
	tally   tally
	delay   time.Duration
	status  int
}

// tally is what a sink tells of a measurement.
type tally struct {
	Messages int64     `json:"messages"` // with a good answer
	Distinct int64     `json:"distinct"`
	Twins    int64     `json:"twins"`
	Foreign  int64     `json:"foreign"`
	Turned   int64     `json:"turned"` // messages that were answered with a failure, as was asked for
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`     // of the arrivals
	LastNew  time.Time `json:"last_new"` // that was no twin
	P50      float64   `json:"p50"`      // of publish to receipt, in milliseconds
	P95      float64   `json:"p95"`
	P99      float64   `json:"p99"`
}

// handler answers messages at /t/N and the bench at /control/.
func (s *sink) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /control/open", s.open)
	mux.HandleFunc("POST /control/mode", s.mode)
	mux.HandleFunc("GET /control/tally", s.tell)
	mux.HandleFunc("GET /control/seen", s.tellSeen)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, ok := strings.CutPrefix(r.URL.Path, "/t/"); ok {
			s.message(w, r, rest)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// open begins a measurement of events for fan targets each.
func (s *sink) open(_ http.ResponseWriter, r *http.Request) {
	events, _ := strconv.Atoi(r.FormValue("events"))
	fan, _ := strconv.Atoi(r.FormValue("fan"))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run, s.fan, s.seen = r.FormValue("run"), fan, newBitmap(events*fan)
	s.seconds, s.tally = s.seconds[:0], tally{}
}

// mode says how messages are answered from now on.
func (s *sink) mode(_ http.ResponseWriter, r *http.Request) {
	delay, _ := time.ParseDuration(r.FormValue("delay"))
	status, _ := strconv.Atoi(r.FormValue("status"))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay, s.status = delay, status
}

var bodies = sync.Pool{New: func() any { return new([4 << 10]byte) }}

// message takes a message and answers as the mode wants it.
func (s *sink) message(w http.ResponseWriter, r *http.Request, target string) {
	buffer, _ := bodies.Get().(*[4 << 10]byte)
	defer bodies.Put(buffer)
	n, err := io.ReadFull(r.Body, buffer[:])
	if err == nil {
		_, err = io.Copy(io.Discard, r.Body)
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return // cut off: nothing arrived
	}
	now := time.Now()
	s.mu.Lock()
	delay, status := s.delay, s.status
	if status == 0 || status < http.StatusMultipleChoices {
		s.enter(r.Header.Get("webhook-id"), target, stamp(buffer[:n]), now)
	} else {
		s.tally.Turned++
		s.tally.Last = now
	}
	s.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
		}
	}
	if status != 0 {
		w.WriteHeader(status)
	}
}

// enter enters a message in the ledger.
func (s *sink) enter(id, target string, sent, now time.Time) {
	t := &s.tally
	t.Messages++
	t.Last = now
	if t.First.IsZero() {
		t.First = now
	}
	run, number, _ := strings.Cut(id, "-")
	event, err := strconv.Atoi(number)
	to, terr := strconv.Atoi(target)
	switch {
	case run != s.run: // late, of the measurement before
	case err != nil || terr != nil || to >= s.fan || event*s.fan+to >= len(s.seen)*64:
		t.Foreign++
	case s.seen.set(event*s.fan + to):
		t.Twins++
	default:
		t.Distinct++
		t.LastNew = now
		if !sent.IsZero() {
			s.seconds = append(s.seconds, uint32(max(0, min(now.Sub(sent).Microseconds(), 1<<32-1))))
		}
	}
}

// tell tells the tally.
func (s *sink) tell(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	t := s.tally
	if len(s.seconds) > 0 {
		p := percentiles(s.seconds, 50, 95, 99)
		t.P50, t.P95, t.P99 = p[0], p[1], p[2]
	}
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(t) // a bench that has gone needs no answer
}

// tellSeen tells the ledger: a bitmap of event × fan + target.
func (s *sink) tellSeen(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	raw := make([]byte, 0, len(s.seen)*8)
	for _, word := range s.seen {
		raw = binary.LittleEndian.AppendUint64(raw, word)
	}
	s.mu.Unlock()
	w.Write(raw)
}
