package consume

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider"
)

// record hands a chunk's outcomes on.
func (p *partition) record(k *chunk) {
	if len(k.outcomes) == 0 {
		return
	}
	k.outcomes = slices.Clip(k.outcomes) // the slice is the log's from then on
	k.recorded = p.outcomes.record(k.batch.ctx, k.outcomes)
}

// confirmRecord waits until a chunk's outcomes are durable. It is false only if the batch is given up.
func (p *partition) confirmRecord(k *chunk) bool {
	ctx := k.batch.ctx
	if len(k.outcomes) == 0 {
		return ctx.Err() == nil
	}
	var wait backoff
	for ctx.Err() == nil {
		err := p.recordedAll(k)
		if err == nil {
			return true
		}
		p.metrics.failures.WithLabelValues("record").Inc()
		wait.after(ctx, p.Logger, "outcomes cannot be recorded", err)
		k.recorded = p.outcomes.record(ctx, k.outcomes)
	}
	return false
}

// recordedAll waits for a chunk's outcomes. What failed is then kept from the outcome log.
func (p *partition) recordedAll(k *chunk) error {
	if len(k.recorded) == 0 {
		return postrider.Errorf(postrider.CodeUnavailable, "neither the outcome log nor the queue takes them")
	}
	err := waitAll(k.batch.ctx, k.recorded)
	if err != nil && k.batch.ctx.Err() == nil {
		p.outcomes.failed(err)
	}
	return err
}

// divertFor is how long the outcome log is left alone after it failed.
const divertFor = 5 * time.Second

// diverter records outcomes in the outcome log, or, while that fails, in a lane of the queue.
type diverter struct {
	log     postrider.OutcomeLog
	queue   postrider.Queue
	clock   postrider.Clock
	logger  *slog.Logger
	metrics *metrics
	until   atomic.Int64 // in nanoseconds since 1970: before, the outcome log is not asked
}

// record returns no Commit if neither takes the outcomes.
func (d *diverter) record(ctx context.Context, outcomes []postrider.Outcome) []*postrider.Commit {
	if ctx.Err() != nil {
		return nil
	}
	if d.clock().UnixNano() >= d.until.Load() {
		commit, err := d.log.Record(ctx, outcomes)
		if err == nil {
			return []*postrider.Commit{commit}
		}
		if ctx.Err() != nil {
			return nil
		}
		d.failed(err)
	}
	commits, err := d.divert(ctx, outcomes, nil)
	if err != nil {
		if ctx.Err() == nil {
			d.logger.Warn("the queue does not take outcomes either", "error", err)
		}
		return nil
	}
	d.metrics.diverted.Add(float64(len(outcomes)))
	return commits
}

// failed keeps the outcome log from being asked for a while.
func (d *diverter) failed(cause error) {
	d.until.Store(d.clock().Add(divertFor).UnixNano())
	d.logger.Warn("the outcome log does not take outcomes; they go to the queue", "error", cause)
}

// divert puts outcomes into the queue, in items that it takes.
func (d *diverter) divert(ctx context.Context, outcomes []postrider.Outcome, commits []*postrider.Commit) ([]*postrider.Commit, error) {
	item := postrider.Item{Lane: postrider.LaneOutcomes, Outcomes: outcomes}
	if n := len(outcomes) / 2; n > 0 && !d.queue.Fits(&item) {
		commits, err := d.divert(ctx, outcomes[:n:n], commits)
		if err != nil {
			return nil, err
		}
		return d.divert(ctx, outcomes[n:], commits)
	}
	commit, err := d.queue.Put(ctx, item)
	if err != nil {
		return nil, err
	}
	return append(commits, commit), nil
}
