package announce_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/announce"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// store is where notices wait, and the log that they go to.
type store struct {
	postrider.EventLog
	mu      sync.Mutex
	notices []postrider.Notice
	reads   int
	events  []*postrider.Event
	durable map[string]bool
	fail    func(step string) error
	slow    time.Duration
}

func newStore() *store { return &store{durable: map[string]bool{}} }

func (s *store) add(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		id := int64(len(s.notices) + len(s.events) + 1)
		s.notices = append(s.notices, postrider.Notice{ID: id, Event: postrider.Event{ID: fmt.Sprintf("evt_%d", id), Tenant: "acme",
			Type: "postrider.target.disabled", Payload: postrider.Payload{Size: 2, Bytes: []byte("{}")}}})
	}
}

func (s *store) failing(step string) error {
	if s.fail == nil {
		return nil
	}
	return s.fail(step)
}

func (s *store) Notices(_ context.Context, limit int) ([]postrider.Notice, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	return append([]postrider.Notice(nil), s.notices[:min(limit, len(s.notices))]...), s.failing("read")
}

func (s *store) DropNotice(_ context.Context, id int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, n := range s.notices {
		if n.ID != id {
			continue
		}
		if !s.durable[n.Event.ID] {
			return errors.New("dropped before it is durable")
		}
		if err := s.failing("drop"); err != nil {
			return err
		}
		s.notices = append(s.notices[:i], s.notices[i+1:]...)
		return nil
	}
	return postrider.Errorf(postrider.CodeNotFound, "dropped by another")
}

func (s *store) Append(_ context.Context, events []*postrider.Event) (*postrider.Commit, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.failing("append"); err != nil {
		return nil, err
	}
	s.events = append(s.events, events...)
	commit, complete := postrider.NewCommit()
	time.AfterFunc(s.slow, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		err := s.failing("commit")
		for _, e := range events {
			s.durable[e.ID] = err == nil
		}
		complete(err)
	})
	return commit, nil
}

func (s *store) left() (waiting, published, reads int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.notices), len(s.durable), s.reads
}

func run(t *testing.T, s *store) (a *announce.Announcer, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	a = announce.New(announce.Options{Notices: s, Events: s})
	go func() { ended <- a.Run(ctx) }()
	return a, func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func TestPublishes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.slow = 10 * time.Millisecond
		s.add(250)
		a, stop := run(t, s)
		time.Sleep(time.Second)
		if waiting, published, _ := s.left(); waiting != 0 || published != 250 {
			t.Errorf("at the start: %d wait, %d published", waiting, published)
		}
		for _, e := range s.events {
			if e.AcceptedAt.IsZero() || e.Payload.Bytes == nil {
				t.Fatalf("published %+v", e)
			}
		}
		s.add(1)
		a.Nudge()
		a.Nudge()
		time.Sleep(time.Second)
		if waiting, _, _ := s.left(); waiting != 0 {
			t.Error("a nudge publishes nothing")
		}
		s.add(1) // by a process that died: nobody nudges
		time.Sleep(31 * time.Second)
		if waiting, published, _ := s.left(); waiting != 0 || published != 252 {
			t.Errorf("%d wait, %d published", waiting, published)
		}
		s.add(1)
		a.Nudge()
		stop()
		if waiting, _, _ := s.left(); waiting != 0 {
			t.Error("a stop leaves what was nudged")
		}
	})
}

func TestIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		_, stop := run(t, s)
		time.Sleep(time.Hour)
		stop()
		if _, _, reads := s.left(); reads > 122 {
			t.Errorf("%d reads in an idle hour", reads)
		}
	})
}

// TestFaults: each step may fail for a while; every notice is published, under its id, and dropped only when it is durable.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"read", "append", "commit", "drop"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				s.slow = time.Millisecond
				until, calls := time.Now().Add(10*time.Minute), 0
				s.fail = func(at string) error {
					if at == step && time.Now().Before(until) {
						calls++
						return postrider.Errorf(postrider.CodeUnavailable, "away")
					}
					return nil
				}
				s.add(5)
				_, stop := run(t, s)
				time.Sleep(11 * time.Minute)
				stop()
				if waiting, published, _ := s.left(); waiting != 0 || published != 5 {
					t.Errorf("%d wait, %d published", waiting, published)
				}
				if calls > 1000 {
					t.Errorf("%d tries in 10 minutes: no back-off", calls)
				}
			})
		})
	}
}
