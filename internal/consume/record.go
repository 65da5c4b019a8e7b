package consume

import (
	"errors"
	"slices"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/steady"
)

// record hands a chunk's outcomes on.
func (p *partition) record(k *chunk) {
	if len(k.outcomes) == 0 {
		return
	}
	k.outcomes = slices.Clip(k.outcomes) // the slice is the log's from then on
	k.recorded = p.outcomes.record(k.ctx, k.outcomes)
}

// confirmRecord waits until a chunk's outcomes are durable. It is false only if the batch is given up.
func (p *partition) confirmRecord(k *chunk) bool {
	ctx := k.ctx
	if len(k.outcomes) == 0 {
		return ctx.Err() == nil
	}
	var wait steady.Backoff
	for ctx.Err() == nil {
		again, err := p.recordedAll(k)
		if err == nil {
			return true
		}
		p.metrics.failures.WithLabelValues("record").Inc()
		if !again {
			wait.After(ctx, p.Logger, "outcomes cannot be recorded", err)
		}
		k.recorded = p.outcomes.record(ctx, k.outcomes)
	}
	return false
}

// recordedAll waits for a chunk's outcomes. After a failure of the log they can go to the queue at once: then again is true.
func (p *partition) recordedAll(k *chunk) (again bool, err error) {
	if len(k.recorded) == 0 {
		return false, postrider.Errorf(postrider.CodeUnavailable, "neither the outcome log nor the queue takes them")
	}
	for _, r := range k.recorded {
		err := r.wait(k.ctx)
		switch {
		case err == nil:
		case k.ctx.Err() != nil:
			return false, err
		case r.inLog():
			if !errors.Is(err, errAway) {
				p.outcomes.failed(err)
			}
			return true, err
		default:
			p.outcomes.trust()
			return false, err
		}
	}
	return false, nil
}
