package consume

import (
	"context"
	"sync"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/steady"
)

// read hands batches to their partitions until ctx ends, and waits until these are done.
func (c *Consumer) read(ctx, work context.Context) error {
	partitions := make(map[string]*partition)
	var running sync.WaitGroup
	defer running.Wait()
	defer func() {
		for _, p := range partitions {
			close(p.batches)
		}
	}()
	var wait steady.Backoff
	for c.room.wait(ctx) {
		b, err := c.reader.Next(ctx)
		switch {
		case ctx.Err() != nil && err != nil:
			return nil
		case postrider.CodeOf(err) == postrider.CodeGone:
			return err
		case err != nil:
			wait.After(ctx, c.Logger, "the events log does not answer", err)
			continue
		}
		wait.Reset()
		p := partitions[b.Partition]
		if p == nil {
			p = c.newPartition()
			partitions[b.Partition] = p
			running.Go(func() { p.write() }) //nolint:contextcheck // a fan-out begins a trace of its own: the context of reading says nothing of it
			running.Go(func() { p.confirm() })
			running.Go(func() { p.finish() })
		}
		p.batches <- c.accept(work, b)
	}
	return nil
}

// accept takes note of a batch, which is in the pipeline from here to its release.
func (c *Consumer) accept(work context.Context, b *postrider.EventBatch) *batch {
	if b.Gap != nil {
		c.Logger.Error("events were removed from the log before they were read", "partition", b.Partition,
			"from", b.Gap.From, "to", b.Gap.To, "count", b.Gap.Count)
		c.metrics.gap(b.Gap)
	}
	size := int64(0)
	for _, e := range b.Events {
		size += int64(len(e.Payload.Bytes))
	}
	c.room.take(size)
	ctx, cancel := context.WithCancel(work)
	if b.Lost != nil {
		go func() {
			select {
			case <-b.Lost:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	return &batch{EventBatch: b, ctx: ctx, left: len(b.Events), release: func() { cancel(); c.room.give(size) }}
}

// batch is a batch in the pipeline. Its context ends when the partition is lost, and when a stop has waited long enough.
type batch struct {
	*postrider.EventBatch
	ctx     context.Context
	release func()
	left    int  // events that are not dealt with; the last stage's
	failed  bool // some were given up; the last stage's
}

// room bounds what is in the pipeline. One goroutine takes, any gives.
type room struct {
	limit int64
	freed chan struct{}

	mu      sync.Mutex
	bytes   int64
	batches int
}

func newRoom(limit int64) room { return room{limit: limit, freed: make(chan struct{}, 1)} }

// wait returns true once there is room for a batch, and false if ctx ends first.
func (r *room) wait(ctx context.Context) bool {
	for ctx.Err() == nil {
		if bytes, batches := r.used(); batches == 0 || bytes < r.limit && batches < maxBatches {
			return true
		}
		select {
		case <-r.freed:
		case <-ctx.Done():
		}
	}
	return false
}

func (r *room) used() (bytes int64, batches int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bytes, r.batches
}

func (r *room) take(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes += n
	r.batches++
}

func (r *room) give(n int64) {
	r.mu.Lock()
	r.bytes -= n
	r.batches--
	r.mu.Unlock()
	select {
	case r.freed <- struct{}{}:
	default:
	}
}
