// Package announce publishes Postrider's own events: notices that the database stored in the transaction of what they tell
// of are appended to the events log, and forgotten once they are durable there.
//
// A notice is published at least once: a crash between the two publishes it again, under the same id.
package announce

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/steady"
)

const (
	every = 30 * time.Second // notices of a process that died before it published them wait for so long
	batch = 100
)

// Options are what an Announcer is made of.
type Options struct {
	Notices postrider.NoticeStore
	Events  postrider.EventLog
	Drain   time.Duration // how long a stop waits until what was begun is durable; 0: 5 s

	Clock      postrider.Clock       // nil: time.Now
	Logger     *slog.Logger          // nil: nothing is logged
	Registerer prometheus.Registerer // nil: no metrics
}

// Announcer publishes notices. It is run once; any number of processes may run one.
type Announcer struct {
	Options
	nudged    chan struct{}
	published prometheus.Counter
}

// New makes an Announcer.
func New(o Options) *Announcer {
	if o.Drain <= 0 {
		o.Drain = 5 * time.Second
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Announcer{Options: o, nudged: make(chan struct{}, 1), published: promauto.With(o.Registerer).NewCounter(prometheus.CounterOpts{
		Name: "postrider_notices_published_total", Help: "Events of Postrider's own that were published."})}
}

// Nudge says that there are notices: they are published at once. It does not block, and may be called before Run.
func (a *Announcer) Nudge() {
	select {
	case a.nudged <- struct{}{}:
	default:
	}
}

// Run publishes at the start, at each nudge, and every 30 seconds, until ctx ends; then it ends what it began and publishes
// once more, for at most Drain, and returns nil. Whatever fails is tried again.
func (a *Announcer) Run(ctx context.Context) error {
	work, done := steady.Outlast(ctx, a.Drain)
	defer done()
	tick := time.NewTicker(every)
	defer tick.Stop()
	var pause steady.Backoff
	for ctx.Err() == nil {
		if err := a.publish(work); err != nil {
			pause.After(ctx, a.Logger, "publish of notices", err)
			continue
		}
		pause.Reset()
		select {
		case <-ctx.Done():
		case <-a.nudged:
		case <-tick.C:
		}
	}
	if err := a.publish(work); err != nil {
		a.Logger.Warn("notices wait for the next start", "error", err)
	}
	return nil
}

// publish publishes all notices there are.
func (a *Announcer) publish(ctx context.Context) error {
	for {
		notices, err := a.Notices.Notices(ctx, batch)
		if err != nil || len(notices) == 0 {
			return err
		}
		if err := a.append(ctx, notices); err != nil {
			return err
		}
		for _, n := range notices {
			if err := a.Notices.DropNotice(ctx, n.ID); err != nil && postrider.CodeOf(err) != postrider.CodeNotFound {
				return err
			}
		}
		if len(notices) < batch {
			return nil
		}
	}
}

// append returns once the notices are durable in the log.
func (a *Announcer) append(ctx context.Context, notices []postrider.Notice) error {
	events := make([]*postrider.Event, len(notices))
	for i := range notices {
		event := notices[i].Event // a copy, which is the log's
		if event.AcceptedAt.IsZero() {
			event.AcceptedAt = a.Clock().UTC().Truncate(time.Millisecond)
		}
		events[i] = &event
	}
	commit, err := a.Events.Append(ctx, events)
	if err != nil {
		return err
	}
	if err := commit.Wait(ctx); err != nil {
		return err
	}
	a.published.Add(float64(len(notices)))
	return nil
}
