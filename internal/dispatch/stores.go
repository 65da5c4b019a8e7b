package dispatch

import (
	"context"
	"sync"
	"time"

	"github.com/postrider/postrider"
)

const (
	freshFor   = 10 * time.Minute // a payload that was stored is not stored again
	freshCount = 4096             // keys remembered
)

// stores puts payloads that have to wait into the payload store: each once, however many deliveries of its event fail.
type stores struct {
	payloads postrider.PayloadStore

	mu      sync.Mutex
	flights map[string]*storing
	fresh   map[string]time.Time
}

// storing is a put under way.
type storing struct {
	done chan struct{}
	err  error
}

func newStores(payloads postrider.PayloadStore) *stores {
	return &stores{payloads: payloads, flights: make(map[string]*storing), fresh: make(map[string]time.Time)}
}

// put returns once the payload is durable under the key.
func (s *stores) put(ctx context.Context, key string, payload []byte) error {
	s.mu.Lock()
	if at, known := s.fresh[key]; known && time.Since(at) < freshFor {
		s.mu.Unlock()
		return nil
	}
	if f := s.flights[key]; f != nil {
		s.mu.Unlock()
		select {
		case <-f.done:
			return f.err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	f := &storing{done: make(chan struct{})}
	s.flights[key] = f
	s.mu.Unlock()
	f.err = s.payloads.Put(ctx, key, payload)
	s.mu.Lock()
	delete(s.flights, key)
	if f.err == nil {
		s.remember(key)
	}
	s.mu.Unlock()
	close(f.done)
	return f.err
}

// remember notes that a payload is stored, and forgets others: what is not fresh, else any.
func (s *stores) remember(key string) {
	if len(s.fresh) >= freshCount {
		for k, at := range s.fresh {
			if time.Since(at) >= freshFor {
				delete(s.fresh, k)
			}
		}
		for k := range s.fresh {
			if len(s.fresh) < freshCount {
				break
			}
			delete(s.fresh, k)
		}
	}
	s.fresh[key] = time.Now()
}
