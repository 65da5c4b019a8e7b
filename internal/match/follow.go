package match

import (
	"context"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/steady"
)

const (
	pollEvery   = 500 * time.Millisecond // hints may be missed
	firstPause  = 50 * time.Millisecond  // after a failure; doubled up to longestPause
	longPause   = time.Second            // so that the cache is there again within that once the database is
	changesRead = 1000                   // changes read at once
)

// Run loads the cache and follows the feed until ctx ends; then it returns nil. A feed that fails is asked again, with a
// pause that grows to 1 s, for ever; the cache is kept meanwhile.
func (c *Cache) Run(ctx context.Context) error {
	f := follower{Cache: c, hints: c.feed.Watch(ctx)}
	for ctx.Err() == nil {
		f.step(ctx)
	}
	return nil
}

// follower is the one goroutine that changes the cache.
type follower struct {
	*Cache
	hints <-chan struct{}
	pause time.Duration // after a failure; 0: the last read went well
	hint  bool          // there is likely to be a change
}

// step reads the feed once and waits until it is to be read again.
func (f *follower) step(ctx context.Context) {
	err := f.read(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		f.failed(ctx, err)
	default:
		f.succeeded(ctx)
	}
}

func (f *follower) failed(ctx context.Context, err error) {
	f.metrics.failures.Inc()
	if f.pause == 0 {
		f.log.Warn("the change feed does not answer; the subscription cache is kept as it is", "version", f.Version(), "loaded", f.loaded(), "error", err)
	}
	f.pause = min(max(2*f.pause, firstPause), longPause)
	steady.Sleep(ctx, f.pause)
}

func (f *follower) succeeded(ctx context.Context) {
	if f.pause != 0 {
		f.log.Info("the change feed answers again", "version", f.Version())
	}
	f.pause = 0
	f.heard.Store(f.clock().Unix())
	timer := time.NewTimer(pollEvery)
	defer timer.Stop()
	select {
	case _, ok := <-f.hints:
		f.hint = ok
		if !ok {
			f.hints = nil
		}
	case <-f.nudge:
		f.hint = true
	case <-timer.C:
		f.hint = false
	case <-ctx.Done():
	}
}

// read brings the cache up to the feed's last version.
func (f *follower) read(ctx context.Context) error {
	if !f.loaded() {
		return f.load(ctx)
	}
	if !f.hint {
		switch last, err := f.feed.Version(ctx); {
		case err != nil:
			return err
		case last == f.Version():
			return nil
		case last < f.Version():
			f.log.Error("the change feed went back; the subscription cache is loaded anew", "version", f.Version(), "last", last)
			return f.reload(ctx)
		}
	}
	return f.catchUp(ctx)
}

func (f *follower) catchUp(ctx context.Context) error {
	for {
		ix := f.index.Load()
		changes, err := f.feed.Changes(ctx, ix.version.Load(), changesRead)
		if postrider.CodeOf(err) == postrider.CodeGone {
			f.log.Warn("changes are no longer kept; the subscription cache is loaded anew", "version", f.Version())
			return f.reload(ctx)
		}
		if err != nil {
			return err
		}
		if !f.apply(ix, changes) {
			f.log.Warn("the change feed has a hole; the subscription cache is loaded anew", "version", f.Version())
			return f.reload(ctx)
		}
		if len(changes) < changesRead {
			return nil
		}
	}
}

// apply makes changes, up to the first that does not follow the one before; then it reports false.
func (f *follower) apply(ix *index, changes []postrider.Change) bool {
	for i := range changes {
		c := &changes[i]
		if c.Version != ix.version.Load()+1 {
			return false
		}
		ix.apply(c)
		ix.version.Store(c.Version)
	}
	if len(changes) > 0 {
		f.announce()
	}
	return true
}

func (f *follower) reload(ctx context.Context) error {
	f.metrics.reloads.Inc()
	return f.load(ctx)
}

// load builds a new index, which takes the place of the one there is.
func (f *follower) load(ctx context.Context) error {
	started := f.clock()
	ix := newIndex()
	version, err := f.feed.Load(ctx, func(c *postrider.Change) error {
		ix.apply(c)
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	ix.version.Store(version)
	f.index.Store(ix)
	if !f.loaded() {
		close(f.ready)
	}
	f.announce()
	f.log.Info("subscription cache loaded", "version", version, "subscriptions", f.Subscriptions(), "took", f.clock().Sub(started))
	return nil
}
