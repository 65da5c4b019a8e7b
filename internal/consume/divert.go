package consume

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/postrider/postrider"
)

const (
	recordTimeout = 5 * time.Second // an outcome log that hangs longer is away
	divertFor     = 5 * time.Second // how long one that is away is left alone before it is tried once more
)

// errAway says that the outcome log has failed with other outcomes.
var errAway = postrider.Errorf(postrider.CodeUnavailable, "the outcome log is away")

// recording is outcomes on their way: a Commit of the outcome log, or of the queue.
type recording struct {
	commit *postrider.Commit
	by     time.Time       // when the log counts as away; zero: the queue has them
	lost   <-chan struct{} // closed once the log counts as away; nil: the queue has them
}

func (r recording) inLog() bool { return r.lost != nil }

// wait waits until outcomes are durable, in the log no longer than it is thought to be there.
func (r recording) wait(ctx context.Context) error {
	if !r.inLog() {
		return r.commit.Wait(ctx)
	}
	ctx, cancel := context.WithDeadline(ctx, r.by)
	defer cancel()
	select {
	case <-r.lost:
		select {
		case <-r.commit.Done():
			return r.commit.Err()
		default:
			return errAway
		}
	case <-r.commit.Done():
		return r.commit.Err()
	case <-ctx.Done():
		return r.commit.Wait(ctx) // it may be there by now
	}
}

// diverter records outcomes in the outcome log, or, while that is away, in a lane of the queue. The log is then tried with
// outcomes that the queue has too, so that no event waits for the trial: what is recorded twice changes nothing.
type diverter struct {
	log     postrider.OutcomeLog
	queue   postrider.Queue
	clock   postrider.Clock
	logger  *slog.Logger
	metrics *metrics

	mu    sync.Mutex
	away  bool
	lost  chan struct{}     // closed when the log counts as away; nil: nothing waits for it
	until time.Time         // before, the log is not tried
	trial *postrider.Commit // under way; nil: none
}

// record returns nothing if neither takes the outcomes.
func (d *diverter) record(ctx context.Context, outcomes []postrider.Outcome) []recording {
	if ctx.Err() != nil {
		return nil
	}
	if lost := d.trusted(); lost != nil {
		commit, err := d.log.Record(ctx, outcomes)
		if err == nil {
			return []recording{{commit, time.Now().Add(recordTimeout), lost}}
		}
		if ctx.Err() != nil {
			return nil
		}
		d.failed(err)
	} else {
		d.try(ctx, outcomes)
	}
	diverted, err := d.divert(ctx, outcomes, nil)
	if err != nil {
		if ctx.Err() == nil {
			d.logger.Warn("the queue does not take outcomes either", "error", err)
			d.trust()
		}
		return nil
	}
	d.metrics.diverted.Add(float64(len(outcomes)))
	return diverted
}

// trusted returns nil while the log is away: since it failed, until its trial has succeeded. Else it returns what is closed when
// it counts as away again.
func (d *diverter) trusted() (lost <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.trial != nil {
		select {
		case <-d.trial.Done():
			d.away = d.trial.Err() != nil
			d.trial = nil
			if !d.away {
				d.logger.Info("the outcome log takes outcomes again")
			}
		default:
		}
	}
	if d.away {
		return nil
	}
	if d.lost == nil {
		d.lost = make(chan struct{})
	}
	return d.lost
}

// trust has the log asked at once: while the queue fails too, it is the other hope.
func (d *diverter) trust() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.away = false
}

// try has the log record, if it was left alone for long enough, and waits for nothing.
func (d *diverter) try(ctx context.Context, outcomes []postrider.Outcome) {
	d.mu.Lock()
	due := d.trial == nil && !d.clock().Before(d.until)
	if due {
		d.until = d.clock().Add(divertFor)
	}
	d.mu.Unlock()
	if !due {
		return
	}
	commit, err := d.log.Record(ctx, outcomes)
	if err != nil {
		d.logger.Debug("the outcome log is still away", "error", err)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trial = commit
}

// failed keeps the outcome log from being waited for, also with what it has taken.
func (d *diverter) failed(cause error) {
	d.mu.Lock()
	known := d.away
	d.away, d.until = true, d.clock().Add(divertFor)
	if d.lost != nil {
		close(d.lost)
		d.lost = nil
	}
	d.mu.Unlock()
	if !known {
		d.logger.Warn("the outcome log does not take outcomes; they go to the queue", "error", cause)
	}
}

// divert puts outcomes into the queue, in items that it takes.
func (d *diverter) divert(ctx context.Context, outcomes []postrider.Outcome, done []recording) ([]recording, error) {
	item := postrider.Item{Lane: postrider.LaneOutcomes, Outcomes: outcomes}
	if n := len(outcomes) / 2; n > 0 && !d.queue.Fits(&item) {
		done, err := d.divert(ctx, outcomes[:n:n], done)
		if err != nil {
			return nil, err
		}
		return d.divert(ctx, outcomes[n:], done)
	}
	commit, err := d.queue.Put(ctx, item)
	if err != nil {
		return nil, err
	}
	return append(done, recording{commit: commit}), nil
}
