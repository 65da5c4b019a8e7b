package awsapi

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	checkTimeout = 10 * time.Second
	staleAnswer  = time.Minute // age of the last answer from which Check asks anew
)

// Health is what is known of whether a server answers. The zero value knows nothing. It is safe for concurrent use.
type Health struct {
	mu       sync.Mutex
	fault    error // why the last request got no answer that helps; nil: all is well
	answered time.Time
}

// Saw takes note of what became of a request: nil is an answer, whatever it said.
func (h *Health) Saw(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fault = err; err == nil {
		h.answered = time.Now()
	}
}

// Check returns nil if the server answered within the last minute and has not failed since; else it asks, for ten seconds at most.
func (h *Health) Check(ctx context.Context, ask func(context.Context) error) error {
	h.mu.Lock()
	known := h.fault == nil && time.Since(h.answered) <= staleAnswer
	h.mu.Unlock()
	if known {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return ask(ctx)
}
