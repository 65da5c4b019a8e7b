package retry

import (
	"context"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/steady"
)

// landing is a settle that is not durable yet.
type landing struct {
	move   move
	lease  *postrider.Lease
	commit *postrider.Commit
	err    error
}

// fly makes the moves: it settles the first lease of each with what follows, without waiting in between, and settles the
// other leases of a move once that is durable.
func (m *Manager) fly(ctx context.Context, moves []move) {
	first := make([]landing, 0, len(moves))
	for _, mv := range moves {
		first = append(first, m.settle(ctx, mv.leases[0], mv, mv.follow...))
	}
	var riders []landing
	for _, l := range first {
		if !m.landed(ctx, l, l.move.leases...) {
			continue
		}
		m.metrics.movedItems(l.move)
		for _, rider := range l.move.leases[1:] {
			riders = append(riders, m.settle(ctx, rider, l.move))
		}
	}
	for _, l := range riders {
		m.end(ctx, l)
	}
}

// end waits for the settle of a lease whose deliveries go on with another's. If it fails it is tried again until the lease is over: what
// follows is durable, so that giving it back would make twins.
func (m *Manager) end(ctx context.Context, l landing) {
	for {
		err := l.err
		if err == nil {
			err = l.commit.Wait(ctx)
		}
		n := m.noted(err)
		if err == nil || !m.Clock().Before(l.lease.Expires) || !steady.Sleep(ctx, pauseAfter(n)) {
			return
		}
		l = m.settle(ctx, l.lease, l.move)
	}
}

// noted counts how often in a row settling has failed.
func (m *Manager) noted(err error) int64 {
	if err == nil {
		m.failed.Store(0)
		return 0
	}
	n := m.failed.Add(1)
	m.metrics.failures.Inc()
	if n == 1 {
		m.Logger.Warn("what waits cannot be moved; trying again until it can", "error", err)
	}
	return n
}

func (m *Manager) settle(ctx context.Context, lease *postrider.Lease, mv move, follow ...postrider.Item) landing {
	commit, err := m.Queue.Settle(ctx, lease, follow...)
	return landing{move: mv, lease: lease, commit: commit, err: err}
}

// landed waits for a settle. If it failed, the leases that hang on it are given back: their items come again, and twins of
// what followed all the same are merged or delivered twice.
func (m *Manager) landed(ctx context.Context, l landing, hang ...*postrider.Lease) bool {
	err := l.err
	if err == nil {
		err = l.commit.Wait(ctx)
	}
	n := m.noted(err)
	if err == nil {
		return true
	}
	if ctx.Err() != nil {
		return false // the drain is over: the leases end by themselves
	}
	for _, lease := range hang {
		if err := m.Queue.Return(ctx, lease, pauseAfter(n)); err != nil {
			m.Logger.Debug("a lease was not given back; it ends by itself", "error", err)
		}
	}
	return false
}
