package crash

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"

	"github.com/postrider/postrider/test/harness"
)

// producer publishes and keeps a ledger of what it sent and what was acknowledged.
type producer struct {
	mu      sync.Mutex
	digests map[string][32]byte
	acked   map[string]bool
	rounds  map[string]int
}

// start publishes with some workers until stop is called or the server is gone.
func (p *producer) start(t *testing.T, s *harness.Server, workers, round int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(round), uint64(w)))
			for n := 0; ctx.Err() == nil; n++ {
				if !p.publish(ctx, s, round, fmt.Sprintf("k%d-w%d-%d", round, w, n), body(random)) {
					return
				}
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

// body makes a payload: mostly small, some that are stored apart from the queue.
func body(random *rand.Rand) []byte {
	size := random.IntN(2 << 10)
	if random.IntN(50) == 0 {
		size = 130<<10 + random.IntN(200<<10)
	}
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// publish sends one event. It reports false when no more can be sent.
func (p *producer) publish(ctx context.Context, s *harness.Server, round int, id string, payload []byte) bool {
	p.mu.Lock()
	if p.digests == nil {
		p.digests, p.acked, p.rounds = map[string][32]byte{}, map[string]bool{}, map[string]int{}
	}
	p.digests[id] = sha256.Sum256(payload)
	p.rounds[id] = round
	p.mu.Unlock()
	a, err := s.Call(ctx, http.MethodPost, "/webhooks/events", payload, "Postrider-Event-Type: crash.test", "Postrider-Event-Id: "+id)
	if err != nil {
		return false // the server was killed; the event may have been accepted
	}
	if a.Status == http.StatusAccepted {
		p.mu.Lock()
		p.acked[id] = true
		p.mu.Unlock()
	}
	return true
}

// sent returns the digest of what was sent under an id.
func (p *producer) sent(id string) ([32]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	digest, ok := p.digests[id]
	return digest, ok
}

// round tells in which round an event was sent.
func (p *producer) round(id string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rounds[id]
}

// accepted returns the ids that got a 202.
func (p *producer) accepted() map[string]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	ids := map[string]bool{}
	for id := range p.acked {
		ids[id] = true
	}
	return ids
}

// unsure returns the ids that got no 202; they may have been accepted.
func (p *producer) unsure() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ids []string
	for id := range p.digests {
		if !p.acked[id] {
			ids = append(ids, id)
		}
	}
	return ids
}
