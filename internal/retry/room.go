package retry

import (
	"context"
	"sync"
)

// room counts the deliveries held, so that memory is bounded.
type room struct {
	total int

	mu    sync.Mutex
	held  int
	freed chan struct{} // closed when there is room again; nil: nobody waits
}

func newRoom(total int) *room { return &room{total: total} }

// least is how much room makes a take worth while: many small takes would merge little.
func (r *room) least() int { return max(r.total/8, 1) }

// credit is how much may be taken.
func (r *room) credit() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(r.total-r.held, 1)
}

// wait blocks until there is room; false if ctx ended.
func (r *room) wait(ctx context.Context) bool {
	for ctx.Err() == nil {
		r.mu.Lock()
		if r.total-r.held >= r.least() {
			r.mu.Unlock()
			return true
		}
		if r.freed == nil {
			r.freed = make(chan struct{})
		}
		freed := r.freed
		r.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
		}
	}
	return false
}

func (r *room) take(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held += n
}

func (r *room) release(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held -= n
	if r.freed != nil && r.total-r.held >= r.least() {
		close(r.freed)
		r.freed = nil
	}
}
