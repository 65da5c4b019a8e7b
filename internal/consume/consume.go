// Package consume is the consumer role: it reads events, matches each against the subscription cache, queues a delivery for
// every target, records the fan-out, and commits the event's position once both are durable.
//
// Partitions are worked on side by side. Within one, tenants take turns, and what comes of their events is written one chunk after the
// other without waiting, and waited for in the same order, so that the engines can commit in groups and positions still never run ahead.
package consume

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/match"
	"github.com/postrider/postrider/internal/steady"
	"github.com/postrider/postrider/internal/trace"
)

// Options are what a consumer is made of.
type Options struct {
	Events   postrider.EventLog
	Queue    postrider.Queue
	Payloads postrider.PayloadStore
	Outcomes postrider.OutcomeLog
	Cache    *match.Cache

	InlineLimit int64         // up to how many bytes a payload travels in the queue, if that takes it; 0: 128 KiB, below 0: none does
	MaxBytes    int64         // payload bytes of events that are read and not yet committed; one batch alone may have more; 0: 64 MiB
	Drain       time.Duration // how long a stop waits until what was read is dealt with; 0: 30 s

	Tracer     *trace.Tracer         // nil: off
	Clock      postrider.Clock       // nil: time.Now
	Logger     *slog.Logger          // nil: nothing is logged
	Registerer prometheus.Registerer // nil: no metrics
}

const (
	defaultInline = 128 << 10
	defaultBytes  = 64 << 20
	defaultDrain  = 30 * time.Second
	maxBatches    = 256 // read and not yet committed
)

// Consumer is the role. It is run once.
type Consumer struct {
	Options
	metrics metrics
	cheap   bool // the queue refers to positions in the log

	reader   postrider.EventReader
	commits  sync.Mutex // held while a position is committed
	room     room
	outcomes diverter
}

// New makes a consumer.
func New(o Options) *Consumer {
	if o.InlineLimit == 0 {
		o.InlineLimit = defaultInline
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultBytes
	}
	if o.Drain == 0 {
		o.Drain = defaultDrain
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Consumer{Options: o, cheap: o.Events.Limits().CheapRead, room: newRoom(o.MaxBytes)}
	c.outcomes = diverter{log: o.Outcomes, queue: o.Queue, clock: o.Clock, logger: o.Logger, metrics: &c.metrics}
	c.metrics.register(o.Registerer, &c.room)
	return c
}

// Run consumes until ctx ends, then deals with what was read, for at most Drain, commits the positions, and returns nil.
// Nothing is read before the cache is loaded. Whatever fails is tried again for ever. The error says that the log was
// closed while it was in use.
func (c *Consumer) Run(ctx context.Context) error {
	select {
	case <-c.Cache.Ready():
	case <-ctx.Done():
		return nil
	}
	if err := c.open(ctx); err != nil || c.reader == nil {
		return err
	}
	work, cancel := steady.Outlast(ctx, c.Drain)
	defer cancel()
	err := c.read(ctx, work)
	if closed := c.reader.Close(); closed != nil {
		c.Logger.Warn("positions may not be durable; some events will be read again", "error", closed)
	}
	return err
}

// open joins the group; the reader is nil if ctx ended first.
func (c *Consumer) open(ctx context.Context) error {
	var wait steady.Backoff
	for {
		reader, err := c.Events.Reader(ctx)
		if err == nil {
			c.reader = reader
			return nil
		}
		if ctx.Err() != nil {
			return nil
		}
		if postrider.CodeOf(err) == postrider.CodeGone {
			return err
		}
		wait.After(ctx, c.Logger, "the events log cannot be read", err)
	}
}
