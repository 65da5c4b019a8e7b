// Package retry is the retry manager role: it takes what waits in the retry lane, hands what is due, or will be within the queue's
// lead, to the dispatchers by the bulk lane, and puts the rest back. Both go with the delay that is left.
//
// It keeps no state of its own: what it holds is leased from the queue, and settled only once what follows is durable. So a
// manager may stop or die at any moment, and any number may run. Packs of one target and due time that it holds at once are
// merged, equal deliveries among them once: that keeps millions of waiting deliveries cheap.
package retry

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/steady"
)

// Defaults of a Manager.
const (
	DefaultCredit = 16384
	DefaultDrain  = 30 * time.Second
)

// splitAfter is how often an item is taken before its deliveries go apart: one of them may be what keeps it from being
// settled.
const splitAfter = 5

// flights is how many plans share the credit at least: while what one has put becomes durable, the next is made.
const flights = 4

// Options are what a Manager is made of.
type Options struct {
	Queue  postrider.Queue
	Credit int           // deliveries held at once, each 256 bytes of payload in them counting as one; one take may bring more; 0: DefaultCredit
	Takers int           // takes that wait side by side, for a queue whose takes are small; 0: 1
	Drain  time.Duration // how long a stop waits until what was taken is settled; 0: DefaultDrain

	Clock      postrider.Clock       // nil: time.Now
	Logger     *slog.Logger          // nil: nothing is logged
	Registerer prometheus.Registerer // nil: no metrics
}

// Manager is the role. It is run once.
type Manager struct {
	Options
	metrics *metrics
	room    *room
	taken   chan []*postrider.Lease
	failed  atomic.Int64 // flights in a row that failed
}

// New makes a Manager.
func New(o Options) *Manager {
	if o.Credit <= 0 {
		o.Credit = DefaultCredit
	}
	if o.Takers <= 0 {
		o.Takers = 1
	}
	if o.Drain <= 0 {
		o.Drain = DefaultDrain
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Manager{Options: o, metrics: newMetrics(o.Registerer, o.Queue), room: newRoom(o.Credit),
		taken: make(chan []*postrider.Lease, o.Takers)}
}

// Run works until ctx ends, then settles what it holds, for at most Drain, and returns nil. Whatever fails is tried again;
// what is left after the drain comes again when its lease ends. The error says that the queue was closed while in use.
func (m *Manager) Run(ctx context.Context) error {
	work, done := steady.Outlast(ctx, m.Drain)
	defer done()
	var takers sync.WaitGroup
	ended := make(chan error, m.Takers)
	for range m.Takers {
		takers.Go(func() { ended <- m.take(ctx) })
	}
	go func() {
		takers.Wait()
		close(m.taken)
	}()
	m.move(work)
	close(ended)
	for err := range ended {
		if err != nil {
			return err
		}
	}
	return nil
}

// take leases what is due, as far as there is room, until ctx ends.
func (m *Manager) take(ctx context.Context) error {
	var pause steady.Backoff
	for m.room.wait(ctx) && m.calm(ctx) {
		leases, err := m.Queue.Take(ctx, postrider.TakeRequest{Lane: postrider.LaneRetry, Credit: m.room.credit()})
		switch {
		case err == nil:
			pause.Reset()
			m.room.take(size(leases))
			m.taken <- leases
		case ctx.Err() != nil:
			return nil
		case postrider.CodeOf(err) == postrider.CodeGone:
			return err
		default:
			pause.After(ctx, m.Logger, "take of the retry lane", err)
		}
	}
	return nil
}

// calm waits while what was taken cannot be settled; false if ctx ended.
func (m *Manager) calm(ctx context.Context) bool {
	n := m.failed.Load()
	return n == 0 || steady.Sleep(ctx, pauseAfter(n))
}

// pauseAfter is the pause after n failures in a row.
func pauseAfter(n int64) time.Duration {
	return min(steady.FirstPause<<min(n, 10), steady.LongPause)
}

// move sends on what the takers took. What came while it was busy is planned together, so that more of it merges.
func (m *Manager) move(ctx context.Context) {
	var flights sync.WaitGroup
	defer flights.Wait()
	for leases := range m.taken {
		leases = m.gather(leases)
		flights.Go(func() {
			defer m.room.release(size(leases))
			m.fly(ctx, newPlan(m.Queue, m.Clock()).make(leases))
		})
	}
}

// gather adds what was taken meanwhile, and, where items cost, what is taken within a moment, so that more of it merges.
func (m *Manager) gather(leases []*postrider.Lease) []*postrider.Lease {
	timer := time.NewTimer(m.Queue.Limits().Gather)
	defer timer.Stop()
	for held := size(leases); held < m.Credit/flights; {
		var next []*postrider.Lease
		select {
		case next = <-m.taken:
		default:
			select {
			case next = <-m.taken:
			case <-timer.C:
			}
		}
		if next == nil { // the moment is over, or the takers have ended
			break
		}
		leases, held = append(leases, next...), held+size(next)
	}
	return leases
}

// inlineUnit is how many bytes of payload that travel with deliveries weigh as much as one delivery.
const inlineUnit = 256

// size is what leases weigh in the room: their deliveries, and the payloads in them. An item without any counts as one.
func size(leases []*postrider.Lease) int {
	n := 0
	for _, l := range leases {
		n += max(weight(l)+inline(l)/inlineUnit, 1)
	}
	return n
}

func inline(l *postrider.Lease) (bytes int) {
	if l.Pack == nil {
		return 0
	}
	for i := range l.Pack.Deliveries {
		if d := &l.Pack.Deliveries[i]; d.Event != nil {
			bytes += len(d.Event.Payload.Bytes)
		}
	}
	return bytes
}

func weight(l *postrider.Lease) int {
	if l.Pack == nil {
		return 0
	}
	return len(l.Pack.Deliveries)
}
