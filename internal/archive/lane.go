package archive

import (
	"context"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/steady"
)

// LanePartition is the partition of outcomes that came by the queue. They have no position there: End is "".
const LanePartition = "lane"

const (
	laneCredit = 1000
	aloneAfter = 5 // an item taken so often is stored alone: it may be what the database refuses
)

// drainLane stores the outcomes that wait in the queue.
func (a *Archiver) drainLane(ctx context.Context) error {
	work, done := steady.Outlast(ctx, a.Drain)
	defer done()
	var pause steady.Backoff
	for {
		leases, err := a.Queue.Take(ctx, postrider.TakeRequest{Lane: postrider.LaneOutcomes, Credit: laneCredit})
		if err != nil {
			if again, ended := keepOn(ctx, err); !again {
				return ended
			}
			pause.After(ctx, a.Logger, "take of the outcomes lane", err)
			continue
		}
		if err := a.storeLeases(work, leases); err != nil {
			pause.After(ctx, a.Logger, "archive of outcomes from the queue", err)
			continue
		}
		pause.Reset()
	}
}

// storeLeases stores what leases hold and settles them; those that cannot be stored now are given back.
func (a *Archiver) storeLeases(ctx context.Context, leases []*postrider.Lease) error {
	together := make([]*postrider.Lease, 0, len(leases))
	var failed error
	for _, l := range leases {
		if l.Receives < aloneAfter {
			together = append(together, l)
		} else if err := a.storeTogether(ctx, []*postrider.Lease{l}); err != nil {
			failed = err
		}
	}
	if err := a.storeTogether(ctx, together); err != nil {
		failed = err
	}
	return failed
}

func (a *Archiver) storeTogether(ctx context.Context, leases []*postrider.Lease) error {
	b := &postrider.OutcomeBatch{Partition: LanePartition}
	for _, l := range leases {
		b.Outcomes = append(b.Outcomes, l.Outcomes...)
	}
	if len(b.Outcomes) > 0 {
		if err := a.Database.Archive(ctx, b); err != nil {
			a.metrics.failures.Inc()
			a.giveBack(ctx, leases)
			return err
		}
		a.metrics.stored(&a.metrics.fromLane, b, a.Clock())
	}
	return a.settle(ctx, leases)
}

// giveBack returns leases, due again after a pause.
func (a *Archiver) giveBack(ctx context.Context, leases []*postrider.Lease) {
	for _, l := range leases {
		if err := a.Queue.Return(ctx, l, steady.LongPause); err != nil {
			a.Logger.Debug("a lease was not given back; it ends by itself", "error", err)
		}
	}
}

// settle ends leases whose outcomes are stored. One that cannot be settled comes again, which changes nothing.
func (a *Archiver) settle(ctx context.Context, leases []*postrider.Lease) error {
	commits := make([]*postrider.Commit, 0, len(leases))
	var failed error
	for _, l := range leases {
		commit, err := a.Queue.Settle(ctx, l)
		if err != nil {
			failed = err
			continue
		}
		commits = append(commits, commit)
	}
	for _, commit := range commits {
		if err := commit.Wait(ctx); err != nil {
			failed = err
		}
	}
	return failed
}
