package retry_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/postrider/postrider"
)

// memory is a queue in memory with the limits of the production engine: delays of at most 15 minutes, leases that expire,
// writes that become durable after a while. It records what it is asked, and fails where a test says so.
type memory struct {
	mu       sync.Mutex
	changed  chan struct{}
	items    []*stored
	maxBytes int // deliveries that an item may have; 0: no limit
	maxDelay time.Duration
	lease    time.Duration
	lead     time.Duration
	settled  []settled
	fail     func(l *postrider.Lease, follow []postrider.Item) error // of the Commit
	refuse   func() error                                            // of Settle itself
	takeErr  func() error
	returned int
}

type stored struct {
	item     postrider.Item
	due      time.Time
	leased   time.Time // until then; zero: it is not
	receives int
}

type settled struct {
	lease  *postrider.Lease
	follow []postrider.Item
	at     time.Time
}

func newMemory() *memory {
	return &memory{changed: make(chan struct{}), maxDelay: postrider.MaxDelay, lease: time.Minute}
}

func (q *memory) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

func (q *memory) Put(_ context.Context, items ...postrider.Item) (*postrider.Commit, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.put(items)
	return postrider.Committed(), nil
}

func (q *memory) put(items []postrider.Item) {
	for _, item := range items {
		if item.Delay < 0 || item.Delay > q.maxDelay {
			panic("a delay out of bounds: " + item.Delay.String())
		}
		q.items = append(q.items, &stored{item: item, due: time.Now().Add(item.Delay)})
	}
	q.wake()
}

func (q *memory) Take(ctx context.Context, r postrider.TakeRequest) ([]*postrider.Lease, error) {
	for {
		q.mu.Lock()
		if q.takeErr != nil {
			if err := q.takeErr(); err != nil {
				q.mu.Unlock()
				return nil, err
			}
		}
		leases, next := q.lane(r)
		changed := q.changed
		q.mu.Unlock()
		if len(leases) > 0 {
			return leases, nil
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// lane leases what is due; else it tells when something will be.
func (q *memory) lane(r postrider.TakeRequest) (leases []*postrider.Lease, next time.Duration) {
	next, now, credit := time.Hour, time.Now(), r.Credit
	for _, s := range q.items {
		ready := s.due
		if s.leased.After(ready) {
			ready = s.leased
		}
		if s.item.Lane != r.Lane || ready.After(now) {
			if s.item.Lane == r.Lane {
				next = min(next, ready.Sub(now))
			}
			continue
		}
		n := 1
		if s.item.Pack != nil {
			n = len(s.item.Pack.Deliveries)
		}
		if n > credit && len(leases) > 0 {
			break
		}
		credit -= n
		s.leased = now.Add(q.lease)
		s.receives++
		leases = append(leases, &postrider.Lease{Item: s.item, Expires: s.leased, Receives: s.receives, Engine: s})
		if credit <= 0 {
			break
		}
	}
	return leases, next
}

func (q *memory) Settle(_ context.Context, l *postrider.Lease, follow ...postrider.Item) (*postrider.Commit, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.refuse != nil {
		if err := q.refuse(); err != nil {
			return nil, err
		}
	}
	commit, complete := postrider.NewCommit()
	time.AfterFunc(5*time.Millisecond, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.fail != nil {
			if err := q.fail(l, follow); err != nil {
				complete(err)
				return
			}
		}
		q.put(follow)
		for i, s := range q.items {
			if s == l.Engine {
				q.items = append(q.items[:i], q.items[i+1:]...)
				break
			}
		}
		q.settled = append(q.settled, settled{l, follow, time.Now()})
		complete(nil)
	})
	return commit, nil
}

func (q *memory) Return(_ context.Context, l *postrider.Lease, delay time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	s, ok := l.Engine.(*stored)
	if !ok {
		return errors.New("not a lease of this queue")
	}
	q.returned++
	s.leased, s.due = time.Time{}, time.Now().Add(delay)
	q.wake()
	return nil
}

func (q *memory) Fits(item *postrider.Item) bool {
	return q.maxBytes == 0 || item.Pack == nil || len(item.Pack.Deliveries) <= q.maxBytes
}

func (q *memory) Limits() postrider.QueueLimits {
	return postrider.QueueLimits{MaxDelay: q.maxDelay, Lease: q.lease, MaxBytes: 1 << 20, Lead: q.lead, Step: time.Second}
}

func (q *memory) Stats(context.Context) (stats [postrider.Lanes]postrider.LaneStats, _ error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.items {
		if s.due.After(time.Now()) {
			stats[s.item.Lane].Delayed++
		} else {
			stats[s.item.Lane].Items++
		}
	}
	return stats, nil
}

func (q *memory) Close() error { return nil }

// packs are those in a lane, leased or not.
func (q *memory) packs(lane postrider.Lane) []*postrider.Pack {
	q.mu.Lock()
	defer q.mu.Unlock()
	var packs []*postrider.Pack
	for _, s := range q.items {
		if s.item.Lane == lane {
			packs = append(packs, s.item.Pack)
		}
	}
	return packs
}

func (q *memory) settles() []settled {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]settled(nil), q.settled...)
}
