package consume

import (
	"context"
	"log/slog"
	"time"
)

const (
	firstPause = 50 * time.Millisecond
	longPause  = 5 * time.Second
)

// backoff is the pause between tries. The zero value is ready.
type backoff struct {
	pause time.Duration
}

func (b *backoff) reset() { *b = backoff{} }

// after waits before the next try, twice as long as the last time, or until ctx ends. The first failure of a row is logged.
func (b *backoff) after(ctx context.Context, log *slog.Logger, what string, err error) {
	if b.pause == 0 && ctx.Err() == nil {
		log.Warn("a step failed and is tried again until it succeeds", "what", what, "error", err)
	}
	b.pause = min(max(2*b.pause, firstPause), longPause)
	timer := time.NewTimer(b.pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
