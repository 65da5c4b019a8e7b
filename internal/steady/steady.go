// Package steady keeps a role going while what it needs is away, and lets it end what it began when it is stopped: pauses
// that grow from try to try, and a context that outlasts another by a drain.
package steady

import (
	"context"
	"log/slog"
	"time"
)

// Bounds of a pause.
const (
	FirstPause = 50 * time.Millisecond
	LongPause  = 5 * time.Second
)

// Backoff is the pause between tries. The zero value is ready. It is used by one goroutine.
type Backoff struct {
	pause time.Duration
}

// Reset makes the next pause the first again.
func (b *Backoff) Reset() { b.pause = 0 }

// Next is the next pause: twice the last one, within the bounds.
func (b *Backoff) Next() time.Duration {
	b.pause = min(max(2*b.pause, FirstPause), LongPause)
	return b.pause
}

// After waits for the next pause, or until ctx ends. The first failure of a row is logged, but not one that comes of the end of ctx.
func (b *Backoff) After(ctx context.Context, logger *slog.Logger, what string, err error) {
	if b.pause == 0 && ctx.Err() == nil {
		logger.Warn("a part is away; trying again until it answers", "failed", what, "error", err)
	}
	Sleep(ctx, b.Next())
}

// Sleep waits for a time, or until ctx ends; it reports whether the time is over.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Outlast returns a context that ends drain after ctx does, with ctx's values. Call the function when the work is done.
func Outlast(ctx context.Context, drain time.Duration) (context.Context, context.CancelFunc) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		Sleep(work, drain)
		cancel()
	})
	return work, func() { stop(); cancel() }
}
