package app

import (
	"context"
	"net/http"
	"sync"
)

// gate lets requests through until it is shut, then answers 503; it knows when those that are inside have left.
type gate struct {
	next http.Handler

	mu     sync.Mutex
	inside int
	shut   bool
	empty  chan struct{} // closed when it is shut and nobody is inside
}

func newGate(next http.Handler) *gate { return &gate{next: next, empty: make(chan struct{})} }

// ServeHTTP answers 503 once the gate is shut.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !g.enter() {
		w.Header().Set("Connection", "close")
		w.Header().Set("Retry-After", "1")
		writeProblem(w, http.StatusServiceUnavailable, "the server is stopping; repeat the request later")
		return
	}
	defer g.leave()
	g.next.ServeHTTP(w, r)
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.shut && g.inside == 0 {
		close(g.empty)
	}
}

// close shuts the gate. It may be called once.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	if g.inside == 0 {
		close(g.empty)
	}
}

// wait blocks until nobody is inside a gate that is shut, or ctx ends.
func (g *gate) wait(ctx context.Context) error {
	select {
	case <-g.empty:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
