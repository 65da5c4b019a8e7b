package sqs

import (
	"context"
	"sync"
	"time"

	"github.com/postrider/postrider"
)

const (
	pollers = 8 // receives of a lane under way at a time

	// ahead is how many deliveries a request asks for at least, whatever the credit, so that requests are full. Those beyond it
	// are handed out next, by this process.
	ahead = 2 * postrider.MaxPackTargets
)

// receiver keeps what was received and not handed out, and knows how many receives are worth their request.
type receiver struct {
	mu      sync.Mutex
	leases  []*postrider.Lease
	perItem float64 // deliveries of a message, smoothed
	full    bool    // the last receive brought most of what it asked for: there is more
	polls   int     // under way
	err     error   // of the last receive, if it failed
	left    bool    // the last call ended with its context: what comes is given back at once
	closed  bool    // no receive is begun any more
	changed chan struct{}
}

func (r *receiver) init() { r.changed = make(chan struct{}) }

// take hands out what is held within a credit. If that is nothing it starts receives, as many as are missing, and returns a
// channel that is closed when one has ended, or the error of the last if none is under way.
func (r *receiver) take(credit int, until time.Time, start func(wait int32, limit int)) ([]*postrider.Lease, <-chan struct{}, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = r.closed
	if out := r.handOut(credit, until); len(out) > 0 {
		return out, nil, nil
	}
	if err := r.err; err != nil && r.polls == 0 {
		r.err = nil
		return nil, nil, err
	}
	most, limit := r.plan(credit)
	for r.polls < most && !r.closed {
		wait := int32(longPoll)
		if r.polls > 0 {
			wait = shortPoll
		}
		r.polls++
		start(wait, limit)
	}
	return nil, r.changed, nil
}

// handOut takes what a credit has room for. A lease that ends before a time is dropped: its message comes again.
func (r *receiver) handOut(credit int, until time.Time) []*postrider.Lease {
	var out []*postrider.Lease
	rest := r.leases[:0]
	for _, l := range r.leases {
		switch {
		case l.Expires.Before(until):
		case len(out) == 0 || weight(l) <= credit:
			credit -= weight(l)
			out = append(out, l)
		default:
			rest = append(rest, l)
		}
	}
	clear(r.leases[len(rest):])
	r.leases = rest
	return out
}

// plan tells how many receives a credit is worth, and how many messages each asks for.
func (r *receiver) plan(credit int) (polls, limit int) {
	each := max(r.perItem, 1)
	limit = min(max(int(float64(max(credit, ahead))/each), 1), batchEntries)
	if !r.full {
		return 1, limit
	}
	return min(max(int(float64(credit)/each)/batchEntries, 1), pollers), limit
}

// add keeps a lease for a Take.
func (r *receiver) add(l *postrider.Lease) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leases = append(r.leases, l)
	if r.perItem == 0 {
		r.perItem = float64(weight(l))
	}
	r.perItem += (float64(weight(l)) - r.perItem) / 16
}

// ended takes note of a receive that brought n messages of the number it asked for. It reports whether nobody wants them now.
func (r *receiver) ended(n, of int, err error) (unwanted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.polls--
	r.err = err
	r.full = 2*n > of
	close(r.changed)
	r.changed = make(chan struct{})
	return r.left
}

// leave takes note that a call ended with its context.
func (r *receiver) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = true
}

// close has no receive begin any more, and what comes of those under way given back.
func (r *receiver) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left, r.closed = true, true
}

// idle waits until no receive is under way, or ctx ends.
func (r *receiver) idle(ctx context.Context) {
	for {
		r.mu.Lock()
		polls, changed := r.polls, r.changed
		r.mu.Unlock()
		if polls == 0 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// drop takes out all that is held.
func (r *receiver) drop() []*postrider.Lease {
	r.mu.Lock()
	defer r.mu.Unlock()
	leases := r.leases
	r.leases = nil
	return leases
}

func weight(l *postrider.Lease) int {
	if l.Pack != nil {
		return max(len(l.Pack.Deliveries), 1)
	}
	return max(len(l.Outcomes), 1)
}
