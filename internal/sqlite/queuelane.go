package sqlite

import (
	"container/heap"
	"time"

	"github.com/postrider/postrider"
)

// laneState is one lane: what is due, by tenant, and what is delayed.
type laneState struct {
	lane     postrider.Lane
	tenants  map[string]*tenantQueue
	ring     []*tenantQueue // tenants that have something due, in turn
	turn     int
	count    int // items due
	delayed  delayHeap
	cold     coldItems
	demoteAt int
	wake     chan struct{} // has a value if something became due
}

// tenantQueue is what one tenant has due, first come first served.
type tenantQueue struct {
	tenant string
	items  []*entry
	head   int
}

func newLaneState(lane postrider.Lane) *laneState {
	return &laneState{lane: lane, tenants: map[string]*tenantQueue{}, wake: make(chan struct{}, 1), demoteAt: firstDemotion}
}

func (t *tenantQueue) len() int { return len(t.items) - t.head }

func (t *tenantQueue) pop() *entry {
	e := t.items[t.head]
	t.items[t.head] = nil
	t.head++
	if t.head > 64 && t.head*2 > len(t.items) {
		t.items = append(t.items[:0], t.items[t.head:]...)
		t.head = 0
	}
	return e
}

// add makes an item due, now or later.
func (s *laneState) add(e *entry, now int64) {
	e.queued = true
	if e.due > now {
		heap.Push(&s.delayed, e)
		if s.delayed[0] == e {
			s.signal() // whoever waits, waits for an earlier time
		}
		return
	}
	t := s.tenants[e.tenant]
	if t == nil {
		t = &tenantQueue{tenant: e.tenant}
		s.tenants[e.tenant] = t
		s.ring = append(s.ring, t)
	}
	t.items = append(t.items, e)
	s.count++
	s.signal()
}

// addCold adds an item that is not due, and in the file only.
func (s *laneState) addCold(e *entry) {
	s.cold.add(e.due, e.id, e.weight, e.tenant)
	if s.cold.heap[0].id == e.id {
		s.signal()
	}
}

func (s *laneState) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// promote moves what has become due.
func (s *laneState) promote(now int64) {
	for len(s.delayed) > 0 && s.delayed[0].due <= now {
		s.add(heap.Pop(&s.delayed).(*entry), now)
	}
	for s.cold.len() > 0 && s.cold.heap[0].due <= now {
		s.add(s.cold.pop(s.lane), now)
	}
}

// take removes the next item in turn whose tenant is wanted and whose weight is within the credit (any, if first).
func (s *laneState) take(credit int32, first bool, full func(string) bool) *entry {
	for range len(s.ring) {
		if s.turn >= len(s.ring) {
			s.turn = 0
		}
		t := s.ring[s.turn]
		if full != nil && full(t.tenant) || !first && t.items[t.head].weight > credit {
			s.turn++
			continue
		}
		e := t.pop()
		e.queued = false
		s.count--
		if t.len() == 0 {
			s.dropTenant(s.turn)
		} else {
			s.turn++
		}
		return e
	}
	return nil
}

func (s *laneState) dropTenant(i int) {
	delete(s.tenants, s.ring[i].tenant)
	s.ring = append(s.ring[:i], s.ring[i+1:]...)
}

// remove takes an item out, wherever it is. It is slow, and used after a failure only.
func (s *laneState) remove(e *entry) {
	e.queued = false
	for i, d := range s.delayed {
		if d == e {
			heap.Remove(&s.delayed, i)
			return
		}
	}
	for i, t := range s.ring {
		if t.tenant != e.tenant {
			continue
		}
		for j := t.head; j < len(t.items); j++ {
			if t.items[j] == e {
				t.items = append(t.items[:j], t.items[j+1:]...)
				s.count--
				break
			}
		}
		if t.len() == 0 {
			s.dropTenant(i)
		}
		return
	}
}

func (s *laneState) oldest(now int64) time.Duration {
	least := now
	for _, t := range s.ring {
		least = min(least, t.items[t.head].due)
	}
	return time.Duration(now-least) * time.Millisecond
}

// delayHeap orders what is delayed by when it is due.
type delayHeap []*entry

func (h delayHeap) Len() int           { return len(h) }
func (h delayHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h delayHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push adds an entry.
func (h *delayHeap) Push(x any) { *h = append(*h, x.(*entry)) }

// Pop removes the last entry.
func (h *delayHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return e
}
