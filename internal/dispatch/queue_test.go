package dispatch_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/postrider/postrider"
)

// memory is a queue in memory: fair by nothing, leases that expire, writes that are durable at once.
type memory struct {
	mu       sync.Mutex
	changed  chan struct{}
	items    []*stored
	lease    time.Duration
	gather   time.Duration
	lead     time.Duration
	heedless bool // it ignores TakeRequest.Full
	fail     map[string]error
	refuse   func(*postrider.Delivery) bool // items with it are refused for good
	takes    []taken
	settles  int
	returns  int
	settled  []postrider.Item // what followed
}

type stored struct {
	item     postrider.Item
	due      time.Time
	leased   time.Time
	receives int
}

type taken struct {
	lane   postrider.Lane
	credit int
	n      int
}

func newMemory() *memory {
	return &memory{changed: make(chan struct{}), lease: time.Minute, fail: make(map[string]error)}
}

func (q *memory) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

func (q *memory) set(step string, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fail[step] = err
}

func (q *memory) Put(_ context.Context, items ...postrider.Item) (*postrider.Commit, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := errors.Join(q.fail["put"], q.refuses(items)); err != nil {
		return nil, err
	}
	q.put(items)
	return postrider.Committed(), nil
}

func (q *memory) refuses(items []postrider.Item) error {
	for _, item := range items {
		for i := 0; q.refuse != nil && item.Pack != nil && i < len(item.Pack.Deliveries); i++ {
			if q.refuse(&item.Pack.Deliveries[i]) {
				return postrider.Errorf(postrider.CodeTooLarge, "refused")
			}
		}
	}
	return nil
}

func (q *memory) put(items []postrider.Item) {
	for _, item := range items {
		if item.Delay < 0 || item.Delay > postrider.MaxDelay {
			panic("a delay out of bounds: " + item.Delay.String())
		}
		if item.Pack != nil && (len(item.Pack.Deliveries) == 0 || len(item.Pack.Deliveries) > postrider.MaxPackTargets) {
			panic("a pack out of bounds")
		}
		q.items = append(q.items, &stored{item: item, due: time.Now().Add(item.Delay)})
	}
	q.wake()
}

func (q *memory) Take(ctx context.Context, r postrider.TakeRequest) ([]*postrider.Lease, error) {
	for {
		q.mu.Lock()
		if err := q.fail["take"]; err != nil {
			q.mu.Unlock()
			return nil, err
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

func (q *memory) lane(r postrider.TakeRequest) (leases []*postrider.Lease, next time.Duration) {
	next, now, credit := time.Hour, time.Now(), r.Credit
	for _, s := range q.items {
		ready := s.due
		if s.leased.After(ready) {
			ready = s.leased
		}
		if s.item.Lane != r.Lane {
			continue
		}
		if ready.After(now) {
			next = min(next, ready.Sub(now))
			continue
		}
		n := 1
		if s.item.Pack != nil {
			n = len(s.item.Pack.Deliveries)
			if !q.heedless && r.Full != nil && r.Full(s.item.Pack.Tenant) {
				next = min(next, 5*time.Millisecond)
				continue
			}
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
	if len(leases) > 0 {
		q.takes = append(q.takes, taken{r.Lane, r.Credit, r.Credit - credit})
	}
	return leases, next
}

func (q *memory) Settle(_ context.Context, l *postrider.Lease, follow ...postrider.Item) (*postrider.Commit, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := errors.Join(q.fail["settle"], q.refuses(follow)); err != nil {
		return nil, err
	}
	q.settles++
	q.settled = append(q.settled, follow...)
	for i, s := range q.items {
		if s == l.Engine {
			q.items = append(q.items[:i], q.items[i+1:]...)
			break
		}
	}
	q.put(follow)
	return postrider.Committed(), nil
}

func (q *memory) Return(_ context.Context, l *postrider.Lease, delay time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.returns++
	s, _ := l.Engine.(*stored)
	s.leased, s.due = time.Time{}, time.Now().Add(delay)
	q.wake()
	return nil
}

func (q *memory) Fits(item *postrider.Item) bool { return len(item.Outcomes) <= 100 }

func (q *memory) Limits() postrider.QueueLimits {
	return postrider.QueueLimits{MaxDelay: postrider.MaxDelay, Lease: q.lease, MaxBytes: 1 << 20, Gather: q.gather, Lead: q.lead}
}

func (q *memory) Stats(context.Context) (stats [postrider.Lanes]postrider.LaneStats, _ error) {
	return stats, nil
}

func (q *memory) Close() error { return nil }

// in are the items in a lane, leased or not.
func (q *memory) in(lane postrider.Lane) []postrider.Item {
	q.mu.Lock()
	defer q.mu.Unlock()
	var items []postrider.Item
	for _, s := range q.items {
		if s.item.Lane == lane {
			items = append(items, s.item)
		}
	}
	return items
}

// deliveries are those in a lane.
func (q *memory) deliveries(lane postrider.Lane) (deliveries []postrider.Delivery) {
	for _, item := range q.in(lane) {
		deliveries = append(deliveries, item.Pack.Deliveries...)
	}
	return deliveries
}
