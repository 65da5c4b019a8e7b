package dispatch_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// stalled is an outcome log on a disk that takes what it is given and is not done with it before release.
type stalled struct {
	outcomes
	mu   sync.Mutex
	over bool
	done []func(error)
}

func (s *stalled) Record(ctx context.Context, batch []postrider.Outcome) (*postrider.Commit, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return s.outcomes.Record(ctx, batch)
	}
	if _, err := s.outcomes.Record(ctx, batch); err != nil {
		return nil, err
	}
	commit, complete := postrider.NewCommit()
	s.done = append(s.done, complete)
	return commit, nil
}

func (s *stalled) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for _, complete := range s.done {
		complete(nil)
	}
}

// TestSentAndNotDurableIsBounded has the disk stall while much waits: no more is sent than the documents say that a crash may have sent
// again, and all of it once the disk goes on.
func TestSentAndNotDurableIsBounded(t *testing.T) {
	t.Parallel()
	const inFlight, backlog = 16, 4000
	const bound = 1024 + inFlight + 100 // what is not durable, what is sent, and what waits in hand for a slot; packs are of one
	simulated(t, func(w *world) {
		t := w.t
		var sent atomic.Int64
		w.answer(func(*http.Request) (*http.Response, error) {
			sent.Add(1)
			time.Sleep(time.Millisecond)
			return reply(200), nil
		})
		w.options.MaxInFlight, w.options.TargetMaxInFlight = inFlight, inFlight
		disk := &stalled{outcomes: outcomes{w}}
		w.options.Outcomes = disk
		w.subscribe("t", 1)
		for range backlog {
			w.send(event("t", "{}"), 1)
		}
		stop := w.run()
		pass(4 * time.Second) // what hangs for longer goes to the queue
		if n := sent.Load(); n > bound || n < bound/2 {
			t.Errorf("%d were sent while the disk stalls, want at most %d", n, bound)
		}
		disk.release()
		pass(time.Minute)
		stop()
		if n := sent.Load(); n != backlog || w.states()["delivered"] != backlog {
			t.Errorf("%d of %d were sent, in the end: %v", n, backlog, w.states())
		}
	})
}
