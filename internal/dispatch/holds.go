package dispatch

import (
	"context"
	"sync"
	"time"

	"github.com/postrider/postrider"
)

const (
	publishEvery = time.Second
	publishAfter = time.Second     // a hold that is shorter is not worth telling of
	holdLasts    = 5 * time.Second // a published hold, beyond the time of the next publication
)

// holds knows whose deliveries wait.
type holds struct {
	mu        sync.Mutex
	targets   map[int64]*postrider.Hold
	published bool // the database has some of ours
}

func newHolds() *holds { return &holds{targets: make(map[int64]*postrider.Hold)} }

// add notes that a target's deliveries wait until a time at least.
func (h *holds) add(target int64, reason postrider.HoldReason, now, until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	hold := h.targets[target]
	if hold == nil {
		hold = &postrider.Hold{TargetID: target, Since: now}
		h.targets[target] = hold
	}
	hold.Reason = reason
	if until.After(hold.Until) {
		hold.Until = until
	}
}

// list returns what is to be published, and drops what is over. It is false if there is nothing to say.
func (h *holds) list(now time.Time) ([]postrider.Hold, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []postrider.Hold
	for id, hold := range h.targets {
		if hold.Until.Before(now) {
			delete(h.targets, id)
			continue
		}
		if now.Sub(hold.Since) >= publishAfter {
			shown := *hold
			shown.Until = now.Add(publishEvery + holdLasts)
			list = append(list, shown)
		}
	}
	say := len(list) > 0 || h.published
	h.published = len(list) > 0
	return list, say
}

// again has the next publication take place whatever it says.
func (h *holds) again() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.published = true
}

// publishHolds publishes the holds each second while there are any, until ctx ends, and sweeps the slots.
func (d *Dispatcher) publishHolds(ctx context.Context) {
	tick := time.NewTicker(publishEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		d.slots.sweep()
		d.fetches.sweep()
		list, say := d.holds.list(d.Clock())
		if !say {
			continue
		}
		if err := d.Database.PutHolds(ctx, d.Process, list); err != nil && ctx.Err() == nil {
			d.holds.again()
			d.metrics.failures.WithLabelValues("holds").Inc()
			d.Logger.Debug("holds are not published; trying again", "error", err)
		}
	}
}
