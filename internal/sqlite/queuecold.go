package sqlite

import (
	"container/heap"

	"github.com/postrider/postrider"
)

// coldItem is a delayed item that is in the file only. It holds no pointer, so that a million of them are 24 MB that the
// garbage collector does not look into.
type coldItem struct {
	due    int64 // milliseconds
	id     int64
	weight int32
	tenant int32 // index of its name
}

// coldItems are a lane's, by when they are due.
type coldItems struct {
	heap  coldHeap
	names []string
	index map[string]int32
}

// add adds an item.
func (c *coldItems) add(due, id int64, weight int32, tenant string) {
	n, known := c.index[tenant]
	if !known {
		if c.index == nil {
			c.index = map[string]int32{}
		}
		n = int32(len(c.names))
		c.index[tenant] = n
		c.names = append(c.names, tenant)
	}
	c.heap = append(c.heap, coldItem{due, id, weight, n})
	heap.Fix(&c.heap, len(c.heap)-1)
}

func (c *coldItems) len() int { return len(c.heap) }

// pop removes the first.
func (c *coldItems) pop(lane postrider.Lane) *entry {
	first := c.heap[0]
	last := len(c.heap) - 1
	c.heap[0] = c.heap[last]
	c.heap = c.heap[:last]
	if last > 0 {
		heap.Fix(&c.heap, 0)
	}
	e := &entry{id: first.id, due: first.due, tenant: c.names[first.tenant], weight: first.weight, lane: lane, state: stateWritten}
	if last == 0 {
		*c = coldItems{} // with the names of tenants that may be gone
	}
	return e
}

type coldHeap []coldItem

func (h coldHeap) Len() int           { return len(h) }
func (h coldHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h coldHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is not used: Fix takes what was appended to its place.
func (h *coldHeap) Push(any) { panic("sqlite: not used") }

// Pop is not used.
func (h *coldHeap) Pop() any { panic("sqlite: not used") }

const firstDemotion = 1 << 16 // delayed items that memory may know in full

// demote makes delayed items cold that are in the file only, once there are many; it is called now and then, so it looks at
// all of them only after their number has doubled.
func (s *laneState) demote() {
	if len(s.delayed) < s.demoteAt {
		return
	}
	kept := s.delayed[:0]
	for _, e := range s.delayed {
		if e.state == stateWritten && e.item == nil {
			s.cold.add(e.due, e.id, e.weight, e.tenant)
		} else {
			kept = append(kept, e)
		}
	}
	clear(s.delayed[len(kept):])
	s.delayed = append(delayHeap(nil), kept...)
	heap.Init(&s.delayed)
	s.demoteAt = max(firstDemotion, 2*len(s.delayed))
}
