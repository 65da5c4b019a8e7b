package harness

import (
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"
)

// KeepBody is up to how many bytes a receiver keeps the body of a message; of others it keeps size and digest.
const KeepBody = 64 << 10

// Message is a message that arrived.
type Message struct {
	Path    string
	ID      string // webhook-id
	Type    string
	Attempt int
	Replay  int
	Size    int64
	Digest  [32]byte
	Body    []byte // of messages up to KeepBody
	Header  http.Header
	At      time.Time
	Status  int             // what was answered
	Gone    <-chan struct{} // closed when the sender has given up
}

// Receiver is a target that keeps a ledger of what arrives.
type Receiver struct {
	*httptest.Server

	mu       sync.Mutex
	messages []Message
	answer   func(m *Message, w http.ResponseWriter) int
	changed  chan struct{} // closed and replaced at each arrival
}

// NewReceiver starts a receiver. answer tells the status, and may set headers or wait; nil: always 200. It is closed by
// the test.
func NewReceiver(t *testing.T, answer func(m *Message, w http.ResponseWriter) int) *Receiver {
	t.Helper()
	if answer == nil {
		answer = func(*Message, http.ResponseWriter) int { return http.StatusOK }
	}
	r := &Receiver{answer: answer, changed: make(chan struct{})}
	r.Server = httptest.NewServer(http.HandlerFunc(r.receive))
	t.Cleanup(r.Close)
	return r
}

func (r *Receiver) receive(w http.ResponseWriter, req *http.Request) {
	m := Message{Path: req.URL.Path, ID: req.Header.Get("webhook-id"), Type: req.Header.Get("Postrider-Event-Type"), Header: req.Header, At: time.Now(), Gone: req.Context().Done()}
	m.Attempt, _ = strconv.Atoi(req.Header.Get("Postrider-Attempt"))
	m.Replay, _ = strconv.Atoi(req.Header.Get("Postrider-Replay"))
	digest := sha256.New()
	body, err := io.ReadAll(io.TeeReader(req.Body, digest))
	if err != nil {
		return // cut off: nothing arrived
	}
	m.Size = int64(len(body))
	digest.Sum(m.Digest[:0])
	if len(body) <= KeepBody {
		m.Body = body
	}
	m.Status = r.answer(&m, w)
	r.mu.Lock()
	r.messages = append(r.messages, m)
	close(r.changed)
	r.changed = make(chan struct{})
	r.mu.Unlock()
	w.WriteHeader(m.Status)
}

// Messages returns what arrived so far.
func (r *Receiver) Messages() []Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Message(nil), r.messages...)
}

// Await waits until what arrived is as wanted, and returns it.
func (r *Receiver) Await(t *testing.T, what string, wanted func([]Message) bool) []Message {
	t.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	for {
		r.mu.Lock()
		got, changed := append([]Message(nil), r.messages...), r.changed
		r.mu.Unlock()
		if wanted(got) {
			return got
		}
		select {
		case <-changed:
		case <-deadline.C:
			t.Fatalf("%s: it does not arrive; %d messages did: %s", what, len(got), summary(got))
			return nil
		}
	}
}

// AwaitCount waits for n messages.
func (r *Receiver) AwaitCount(t *testing.T, n int) []Message {
	t.Helper()
	return r.Await(t, strconv.Itoa(n)+" messages", func(m []Message) bool { return len(m) >= n })
}

func summary(messages []Message) string {
	text := ""
	for _, m := range messages[max(0, len(messages)-10):] {
		text += "\n  " + m.Path + " " + m.ID + " " + m.Type + " attempt " + strconv.Itoa(m.Attempt) + " answered " + strconv.Itoa(m.Status)
	}
	return text
}
