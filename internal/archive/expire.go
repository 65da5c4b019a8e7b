package archive

import (
	"context"
	"time"

	"github.com/postrider/postrider/internal/steady"
)

const (
	expireEvery = time.Minute
	// A clock that jumped ahead by more than jump is not believed for a while: what it would remove cannot be brought back.
	jump     = 10 * time.Minute
	mistrust = time.Hour
)

// expire removes what is past its retention, until ctx ends.
func (a *Archiver) expire(ctx context.Context) {
	watch := newWatch(a.Clock())
	for steady.Sleep(ctx, expireEvery) {
		now := a.Clock()
		if !a.trusts(watch, now) {
			continue
		}
		if a.Retention > 0 {
			n, err := a.Database.Expire(ctx, now.Add(-a.Retention))
			a.expired(ctx, "deliveries", n, err)
		}
		if a.Events != nil && a.EventRetention > 0 {
			n, err := a.Events.Expire(ctx, now.Add(-a.EventRetention))
			a.expired(ctx, "events", n, err)
		}
		if a.Payloads != nil && a.PayloadRetention > 0 {
			n, err := a.Payloads.Expire(ctx, now.Add(-a.PayloadRetention))
			a.expired(ctx, "payloads", n, err)
		}
	}
}

// expired counts what was removed. The first failure of a row is logged, and its end.
func (a *Archiver) expired(ctx context.Context, what string, n int, err error) {
	a.metrics.expired.WithLabelValues(what).Add(float64(n))
	if ctx.Err() != nil {
		return
	}
	switch failed := a.kept[what]; {
	case err != nil && !failed:
		a.Logger.Warn("what is past its retention could not be removed; trying again each minute", "what", what, "error", err)
	case err == nil && failed:
		a.Logger.Info("what is past its retention is removed again", "what", what)
	}
	a.kept[what] = err != nil
}

// trusts reports whether to go by the wall clock. The first doubt of a row is logged, and its end.
func (a *Archiver) trusts(w *watch, now time.Time) bool {
	doubted := w.doubted
	w.doubted = !w.trusts(now)
	switch {
	case w.doubted && !doubted:
		a.Logger.Warn("the clock jumped ahead; nothing is expired for a while", "now", now)
	case !w.doubted && doubted:
		a.Logger.Info("the clock is trusted again; what is past its retention is removed", "now", now)
	}
	return !w.doubted
}

// watch compares the wall clock with the monotonic one.
type watch struct {
	wall      time.Time // the wall clock when it was last read
	read      time.Time // then, by the monotonic clock
	distrusts time.Time // until then, by the monotonic clock
	doubted   bool      // when it was last asked
}

func newWatch(wall time.Time) *watch { return &watch{wall: wall, read: time.Now()} }

// trusts reports whether the wall clock has gone as fast as time has, lately.
func (w *watch) trusts(wall time.Time) bool {
	now := time.Now()
	if ahead := wall.Round(0).Sub(w.wall.Round(0)) - now.Sub(w.read); ahead > jump {
		w.distrusts = now.Add(mistrust)
	}
	w.wall, w.read = wall, now
	return !now.Before(w.distrusts)
}
