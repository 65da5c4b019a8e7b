// Package archive is the archiver role: it moves outcomes from the outcome log to the database in batches, takes those that
// went by the queue while the log was away, and removes what is past its retention.
//
// A batch and the position it ends at are stored in one transaction, so that an archiver may stop or die at any moment:
// what is read again changes nothing. While the database is away nothing is skipped; the log keeps it.
package archive

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/steady"
)

// Defaults of an Archiver.
const (
	DefaultMaxBatch = 5000
	DefaultWindow   = 200 * time.Millisecond
	DefaultDrain    = 30 * time.Second
)

// Options are what an Archiver is made of.
type Options struct {
	Outcomes postrider.OutcomeLog
	Queue    postrider.Queue
	Database postrider.Archive
	Events   postrider.EventLog     // nil: its events are not expired here
	Payloads postrider.PayloadStore // nil: its payloads are not expired here

	Retention        time.Duration // of final deliveries, from acceptance; 0: for ever
	EventRetention   time.Duration // of events, from acceptance; longer than any retry can want them; 0: for ever
	PayloadRetention time.Duration // of stored payloads; longer than any retry can want them; 0: for ever
	MaxBatch         int           // outcomes stored in one transaction; 0: DefaultMaxBatch
	Window           time.Duration // how long a small batch waits for more; 0: DefaultWindow
	Drain            time.Duration // how long a stop waits until what was read is stored; 0: DefaultDrain

	Clock      postrider.Clock       // nil: time.Now
	Logger     *slog.Logger          // nil: nothing is logged
	Registerer prometheus.Registerer // nil: no metrics
}

// Archiver is the role. It is run once.
type Archiver struct {
	Options
	metrics *metrics
	kept    map[string]bool // what expire could not remove when it last tried
}

// New makes an Archiver.
func New(o Options) *Archiver {
	if o.MaxBatch <= 0 {
		o.MaxBatch = DefaultMaxBatch
	}
	if o.Window <= 0 {
		o.Window = DefaultWindow
	}
	if o.Drain <= 0 {
		o.Drain = DefaultDrain
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Archiver{Options: o, metrics: newMetrics(o.Registerer), kept: make(map[string]bool)}
}

// Run works until ctx ends, then stores what was read, for at most Drain, and returns nil. Whatever fails is tried again.
// The error says that an engine was closed while in use.
func (a *Archiver) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.followLog(ctx) })
	group.Go(func() error { return a.drainLane(ctx) })
	group.Go(func() error { a.expire(ctx); return nil })
	return group.Wait()
}

// keepOn reports whether an error is to be waited out; ended is what to return if it is not.
func keepOn(ctx context.Context, err error) (again bool, ended error) {
	if ctx.Err() != nil {
		return false, nil
	}
	if postrider.CodeOf(err) == postrider.CodeGone {
		return false, err
	}
	return true, nil
}

// store stores a batch, as often as it takes; false if ctx ended before it was stored.
func (a *Archiver) store(ctx context.Context, b *postrider.OutcomeBatch) bool {
	var pause steady.Backoff
	for ctx.Err() == nil {
		err := a.Database.Archive(ctx, b)
		if err == nil {
			a.metrics.stored(&a.metrics.fromLog, b, a.Clock())
			return true
		}
		a.metrics.failures.Inc()
		pause.After(ctx, a.Logger, "archive of outcomes", err)
	}
	return false
}
