// Package budget shares a number of bytes among tenants, so that what is held in memory at once is bounded and one tenant
// cannot take it all.
//
// A quarter of the total is a reserve, which only a tenant below its fair share may take: the total divided by the tenants
// that hold something, and at least by two, so that a tenant that is alone stops at three quarters. So a tenant that floods
// is refused first, and what others need within their share is there.
package budget

import (
	"context"
	"math"
	"sync"
)

// patience is how many grants may pass a waiter that does not fit before it holds up those that came after it: small
// requests must not keep a large one waiting for ever.
const patience = 64

// Budget is a number of bytes to hold. It is safe for concurrent use.
type Budget struct {
	total   int64
	reserve int64

	mu      sync.Mutex
	held    int64
	holders int // tenants that hold something
	tenants map[string]*tenant
	ring    []*tenant // those with waiters; the next to be served is first
	seq     uint64
}

type tenant struct {
	held    int64
	waiters []*waiter // first come first
}

type waiter struct {
	n       int64
	seq     uint64
	passed  int // grants made past it
	granted chan struct{}
}

// New makes a budget of total bytes; at least 1.
func New(total int64) *Budget {
	total = max(total, 1)
	return &Budget{total: total, reserve: total / 4, tenants: make(map[string]*tenant)}
}

// Total is the budget's size in bytes.
func (b *Budget) Total() int64 { return b.total }

// Held is how many bytes are held now. It is over Total only while one request that is over Total is held alone.
func (b *Budget) Held() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held
}

// TryAcquire takes n bytes for a tenant, if they may be had at once. What it took is given back by Release. Nothing is
// taken and true returned if n is not positive.
func (b *Budget) TryAcquire(name string, n int64) bool {
	if n <= 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.tenant(name)
	if !b.may(t, n, math.MaxUint64) {
		b.forget(name, t)
		return false
	}
	b.grant(t, n)
	return true
}

// Acquire takes n bytes for a tenant, and waits until they may be had: within a tenant in the order of the calls, among
// tenants in turn. A request over the total is granted when nothing else is held. The error is ctx's cause, and nothing is
// held then.
func (b *Budget) Acquire(ctx context.Context, name string, n int64) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if n <= 0 {
		return nil
	}
	w := b.enter(name, n)
	if w == nil {
		return nil
	}
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
		return b.leave(ctx, name, w)
	}
}

// Release gives n bytes of a tenant back.
func (b *Budget) Release(name string, n int64) {
	if n <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.tenants[name]
	if t == nil || t.held < n {
		panic("budget: more was released than is held")
	}
	t.held -= n
	b.held -= n
	if t.held == 0 {
		b.holders--
	}
	b.forget(name, t)
	b.serve()
}

// enter grants at once, and returns nil, or queues a waiter.
func (b *Budget) enter(name string, n int64) *waiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.tenant(name)
	b.seq++
	if len(t.waiters) == 0 && b.may(t, n, b.seq) {
		b.grant(t, n)
		return nil
	}
	w := &waiter{n: n, seq: b.seq, granted: make(chan struct{})}
	if len(t.waiters) == 0 {
		b.ring = append(b.ring, t)
	}
	t.waiters = append(t.waiters, w)
	return w
}

// leave takes a waiter out whose caller gave up, unless it was granted meanwhile.
func (b *Budget) leave(ctx context.Context, name string, w *waiter) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-w.granted:
		return nil
	default:
	}
	t := b.tenants[name]
	for i, other := range t.waiters {
		if other == w {
			t.waiters = append(t.waiters[:i], t.waiters[i+1:]...)
			break
		}
	}
	if len(t.waiters) == 0 {
		b.unring(t)
	}
	b.forget(name, t)
	b.serve()
	return context.Cause(ctx)
}

// serve grants to waiters in turn until none may have what it asks for.
func (b *Budget) serve() {
	for i := 0; i < len(b.ring); {
		t := b.ring[i]
		w := t.waiters[0]
		if !b.may(t, w.n, w.seq) {
			i++
			continue
		}
		t.waiters = t.waiters[1:]
		b.ring = append(b.ring[:i], b.ring[i+1:]...)
		if len(t.waiters) > 0 {
			b.ring = append(b.ring, t)
		}
		b.grant(t, w.n)
		close(w.granted)
		i = 0
	}
}

// may reports whether a tenant may take n bytes now, in a request that came as the seq-th.
func (b *Budget) may(t *tenant, n int64, seq uint64) bool {
	entitled := b.entitled(t, n)
	limit := b.total
	if !entitled {
		limit -= b.reserve
	}
	return (b.held == 0 || n <= limit-b.held) && !b.heldUp(t, seq, entitled)
}

// entitled reports whether a tenant stays within its fair share with n bytes more; one that holds nothing is always
// entitled to one request.
func (b *Budget) entitled(t *tenant, n int64) bool {
	if t.held == 0 {
		return true
	}
	return n <= b.total/int64(max(b.holders, 2))-t.held
}

// heldUp reports whether an earlier request of another tenant has lost its patience. One that is not entitled never holds
// up one that is.
func (b *Budget) heldUp(t *tenant, seq uint64, entitled bool) bool {
	for _, other := range b.ring {
		w := other.waiters[0]
		if other != t && w.passed >= patience && w.seq < seq && (!entitled || b.entitled(other, w.n)) {
			return true
		}
	}
	return false
}

func (b *Budget) grant(t *tenant, n int64) {
	if t.held == 0 {
		b.holders++
	}
	t.held += n
	b.held += n
	for _, other := range b.ring {
		other.waiters[0].passed++
	}
}

func (b *Budget) tenant(name string) *tenant {
	t := b.tenants[name]
	if t == nil {
		t = new(tenant)
		b.tenants[name] = t
	}
	return t
}

// forget drops a tenant that neither holds nor waits.
func (b *Budget) forget(name string, t *tenant) {
	if t.held == 0 && len(t.waiters) == 0 {
		delete(b.tenants, name)
	}
}

func (b *Budget) unring(t *tenant) {
	for i, other := range b.ring {
		if other == t {
			b.ring = append(b.ring[:i], b.ring[i+1:]...)
			return
		}
	}
}
