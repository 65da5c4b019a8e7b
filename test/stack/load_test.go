package stack

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/test/harness"
)

// load is a stream of events: an application that produces to Kafka, and clients that post to the API.
type load struct {
	pace
	ledger *ledger
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

const (
	produceEvery = 50 * time.Millisecond
	postEvery    = 200 * time.Millisecond
	posters      = 2
	mostOpen     = 150 // events under way: on a slow machine the load adapts
)

// pace is how much a load is.
type pace struct {
	produce, post time.Duration // an event each, of the application and of each poster
	posters       int
	body          func(n int, random *rand.Rand) []byte // the payload of the nth event
}

// busy is the pace of a drill.
var busy = pace{produceEvery, postEvery, posters, func(_ int, random *rand.Rand) []byte { return body(random) }}

// startLoad begins a round. api serves the API; app must write to Kafka past any proxy, so that the application's own
// outages are none of ours.
func (f *fleet) startLoad(t *testing.T, l *ledger, app *kgo.Client, round int, p pace) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &load{pace: p, ledger: l, cancel: cancel}
	s.wg.Go(func() { s.producing(ctx, f, app, round) })
	for n := range p.posters {
		s.wg.Go(func() { s.posting(ctx, f, round, n) })
	}
	return s
}

// stop ends the load, and waits for what was begun.
func (s *load) stop() {
	s.cancel()
	s.wg.Wait()
}

// body makes a payload: mostly small, some that travel through S3.
func body(random *rand.Rand) []byte {
	size := 64 + random.IntN(2<<10)
	if random.IntN(25) == 0 {
		size = 130<<10 + random.IntN(200<<10)
	}
	return harness.Payload(random.Uint64(), size)
}

func (s *load) producing(ctx context.Context, f *fleet, app *kgo.Client, round int) {
	random := rand.New(rand.NewPCG(uint64(round), 1))
	var open sync.WaitGroup
	for n := range s.every(ctx, s.produce) {
		id, payload := fmt.Sprintf("r%d-kafka-%d", round, n), s.body(n, random)
		s.ledger.will(id, round, payload)
		open.Add(1)
		r := record(f.name, bare(loadType, payload), "postrider-event-id", id)
		app.Produce(context.WithoutCancel(ctx), r, func(_ *kgo.Record, err error) {
			defer open.Done()
			s.ledger.end(id, err == nil)
		})
	}
	open.Wait()
}

func (s *load) posting(ctx context.Context, f *fleet, round, poster int) {
	random := rand.New(rand.NewPCG(uint64(round), uint64(poster)+2))
	for n := range s.every(ctx, s.post) {
		id, payload := fmt.Sprintf("r%d-post%d-%d", round, poster, n), s.body(n, random)
		s.ledger.will(id, round, payload)
		a, err := f.api().Call(ctx, http.MethodPost, "/webhooks/events", payload, "Postrider-Event-Type: "+loadType, "Postrider-Event-Id: "+id)
		s.ledger.end(id, err == nil && a.Status == http.StatusAccepted)
	}
}

// loadType is the type of the events of a load.
const loadType = "load.test.v1"

// every counts ticks until ctx ends, and leaves out those at which too much is under way.
func (s *load) every(ctx context.Context, d time.Duration) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		tick := time.NewTicker(d)
		defer tick.Stop()
		for n := 0; ; {
			select {
			case <-tick.C:
				if s.ledger.full() {
					continue
				}
				if !yield(n) {
					return
				}
				n++
			case <-ctx.Done():
				return
			}
		}
	}
}
