package retry_test

import (
	"container/heap"
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/retry"
	"github.com/postrider/postrider/internal/slot"
)

// byDue is a queue in memory for many items, with the limits of SQS: ten items a take, delays of whole seconds up to 15 minutes.
// What is taken stays taken. It counts what SQS would bill for.
type byDue struct {
	postrider.Queue
	lead    time.Duration
	toTake  time.Duration // how long a take of ten items takes
	mu      sync.Mutex
	changed chan struct{}
	waiting dueHeap

	takes, puts, settles int
	late                 time.Duration
	early                bool
	bulk                 map[postrider.DeliveryID]int
	most                 int // items that waited at once
}

type dueItem struct {
	item postrider.Item
	due  time.Time
}

type dueHeap []dueItem

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { i, _ := x.(dueItem); *h = append(*h, i) }
func (h *dueHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

func (q *byDue) Limits() postrider.QueueLimits {
	return postrider.QueueLimits{MaxDelay: postrider.MaxDelay, Lease: time.Minute, MaxBytes: 256 << 10, Step: time.Second, Lead: q.lead, Gather: 100 * time.Millisecond}
}
func (q *byDue) Fits(*postrider.Item) bool { return true }
func (q *byDue) Stats(context.Context) (s [postrider.Lanes]postrider.LaneStats, err error) {
	return s, nil
}

func (q *byDue) put(items []postrider.Item) {
	now := time.Now()
	for _, item := range items {
		q.puts++
		at := now.Add((item.Delay + time.Second - 1).Truncate(time.Second))
		if item.Lane == postrider.LaneRetry {
			heap.Push(&q.waiting, dueItem{item, at})
			continue
		}
		for i := range item.Pack.Deliveries {
			d := &item.Pack.Deliveries[i]
			q.bulk[d.ID]++
			q.late = max(q.late, at.Sub(d.Due))
			q.early = q.early || at.Before(d.Due)
		}
	}
	q.most = max(q.most, len(q.waiting))
	close(q.changed)
	q.changed = make(chan struct{})
}

func (q *byDue) Take(ctx context.Context, r postrider.TakeRequest) ([]*postrider.Lease, error) {
	for {
		q.mu.Lock()
		var leases []*postrider.Lease
		now := time.Now()
		for n := 0; n < r.Credit && len(leases) < 10 && len(q.waiting) > 0 && !q.waiting[0].due.After(now); {
			i, _ := heap.Pop(&q.waiting).(dueItem)
			n += len(i.item.Pack.Deliveries)
			leases = append(leases, &postrider.Lease{Item: i.item, Expires: now.Add(time.Minute), Receives: 1})
		}
		next := 20 * time.Second
		if len(q.waiting) > 0 {
			next = min(next, q.waiting[0].due.Sub(now))
		}
		q.takes++
		changed := q.changed
		q.mu.Unlock()
		if len(leases) > 0 {
			time.Sleep(q.toTake)
			return leases, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-changed:
		case <-time.After(next):
		}
	}
}

func (q *byDue) Settle(_ context.Context, _ *postrider.Lease, follow ...postrider.Item) (*postrider.Commit, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.settles++
	q.put(follow)
	return postrider.Committed(), nil
}

// pending puts n deliveries of some targets, due over a time, so many to an item, as dispatchers put them at different moments of
// the ten minutes before.
func (q *byDue) pending(n, targets, each int, over time.Duration) {
	begin, limits := time.Now().Add(time.Minute), q.Limits()
	for i := 0; i < n; i += each {
		p := &postrider.Pack{Tenant: "acme"}
		for j := i; j < i+each; j++ {
			e := event("acme", j)
			e.Payload = postrider.Payload{Size: 10, Key: "key"}
			p.Deliveries = append(p.Deliveries, delivery(e, int64(1+i%targets), begin.Add(over*time.Duration(i)/time.Duration(n))))
		}
		ago := time.Duration(i*7919%600) * time.Second // so much earlier it was put
		delay := slot.Delay(p.Deliveries, time.Now().Add(-ago), &limits) - ago
		q.put([]postrider.Item{{Lane: postrider.LaneRetry, Delay: max(delay, 0), Pack: p}})
	}
	q.puts = 0
}

// TestHundredThousandPending: each is handed on within 2 s of its time and not before, whether they are due over an hour or all
// at once, and also if the queue is slow but has a lead; what it costs is bounded, since what waits long is merged.
func TestHundredThousandPending(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes several seconds of computing")
	}
	for name, c := range map[string]struct {
		targets, each int
		over          time.Duration
		lead, toTake  time.Duration
		ops           float64 // operations on items, by delivery
	}{
		"an hour, 100 targets":             {targets: 100, each: 1, over: time.Hour, ops: 6},
		"an hour, 100 targets, a lead":     {targets: 100, each: 1, over: time.Hour, lead: 5 * time.Second, ops: 6},
		"one target at once":               {targets: 1, each: 1, ops: 3},
		"one target at once, a lead":       {targets: 1, each: 1, lead: 5 * time.Second, ops: 3},
		"one target at once, a slow queue": {targets: 1, each: 50, lead: 5 * time.Second, toTake: 20 * time.Millisecond, ops: 0.1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const n = 100_000
				q := &byDue{lead: c.lead, toTake: c.toTake, changed: make(chan struct{}), bulk: make(map[postrider.DeliveryID]int)}
				q.pending(n, c.targets, c.each, c.over)
				stop := run(t, retry.Options{Queue: q})
				time.Sleep(11 * time.Minute)
				q.mu.Lock()
				merged := len(q.waiting)
				q.mu.Unlock()
				time.Sleep(c.over)
				stop()
				if len(q.bulk) != n {
					t.Errorf("%d of %d handed on", len(q.bulk), n)
				}
				for _, times := range q.bulk {
					if times != 1 {
						t.Fatalf("one was handed on %d times", times)
					}
				}
				if q.late > 2*time.Second || q.early {
					t.Errorf("up to %v late; early: %v", q.late, q.early)
				}
				ops := float64(q.puts+q.settles+q.takes) / n
				t.Logf("%s: up to %v late; %d items at first, %d after 11 minutes; %d puts, %d settles, %d takes: %.2f for each delivery", name, q.late, n, merged,
					q.puts, q.settles, q.takes, ops)
				if ops > c.ops {
					t.Errorf("%.2f operations for each delivery", ops)
				}
			})
		})
	}
}
