package crash

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/test/harness"
)

const (
	backlog     = 40_000
	batch       = 1000
	aFew        = 300
	uncommitted = 1000 // events whose position is not durable
	notDurable  = 1024 // deliveries whose outcome, or the removal of whose item, is not
	packOf      = 100  // deliveries
)

// counter is a receiver that counts messages, and is slow: so there is a backlog.
type counter struct {
	*httptest.Server
	mu       sync.Mutex
	messages int
	seen     map[string]struct{}
	begun    chan struct{} // closed once a few have arrived
}

func newCounter(t *testing.T) *counter {
	t.Helper()
	c := &counter{seen: map[string]struct{}{}, begun: make(chan struct{})}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		if c.messages++; c.messages == aFew {
			close(c.begun)
		}
		c.seen[r.Header.Get("webhook-id")] = struct{}{}
		c.mu.Unlock()
		time.Sleep(10 * time.Millisecond) // a slow receiver, so that there is a backlog when the process is killed
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *counter) counts() (messages, distinct int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.messages, len(c.seen)
}

// await waits until so many messages are there, not counting twins.
func (c *counter) await(t *testing.T, n int) {
	t.Helper()
	harness.Await(t, func() string {
		if _, distinct := c.counts(); distinct < n {
			return "too few messages have arrived"
		}
		return ""
	})
}

// TestKillInABacklog kills a process that has more to do than it can: what it hands on before it has stored what came of it is bounded
// then too.
func TestKillInABacklog(t *testing.T) {
	t.Parallel()
	data, receiver := t.TempDir(), newCounter(t)
	s := harness.Start(t, data, "--roles", "api") // the events wait for their consumer
	s.Subscribe(t, s.Target(t, receiver.URL).ID, []string{"crash.*"})
	for range backlog / batch {
		publishBatch(t, s)
	}
	s.Stop(t)
	s = harness.Start(t, data, settings...)
	<-receiver.begun
	s.Kill()
	s = harness.Start(t, data, settings...)
	receiver.await(t, backlog)
	harness.Await(t, func() string { // the twins come last
		if waiting(t, s) > 0 {
			return "the queue is not empty"
		}
		return ""
	})
	messages, distinct := receiver.counts()
	twins := messages - distinct
	// What is sent, and what waits in hand for a slot; what a retry manager moves is a part of that, and its take no more than two packs.
	bound := maxInFlight + packOf + packOf + notDurable + uncommitted + 2*packOf
	t.Logf("%d events, %d twins, at most %d allowed", distinct, twins, bound)
	if twins > bound || distinct != backlog {
		t.Errorf("%d events and %d twins, want %d and at most %d", distinct, twins, backlog, bound)
	}
}

// waiting is how many items are in the queue.
func waiting(t *testing.T, s *harness.Server) (n float64) {
	t.Helper()
	for _, lane := range []string{"first", "retry", "bulk"} {
		for _, state := range []string{"due", "delayed"} {
			n += s.Metric(t, `postrider_queue_items{lane="`+lane+`",state="`+state+`"}`)
		}
	}
	return n
}

// publishBatch publishes small events in one request.
func publishBatch(t *testing.T, s *harness.Server) {
	t.Helper()
	list := make([]map[string]string, batch)
	for i := range list {
		list[i] = map[string]string{"eventType": "crash.test", "payload": "hello"}
	}
	body, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	a, err := s.Call(ctx, http.MethodPost, "/webhooks/events/batch", body, "Content-Type: application/json")
	if err != nil || a.Status/100 != 2 {
		t.Fatalf("publishing a batch: %v, %+v", err, a)
	}
}
