package sqs

import (
	"context"
	"sync"
	"time"

	"github.com/postrider/postrider"
)

const (
	batchEntries  = 10 // SQS's limit
	senders       = 8  // batches of one gatherer under way at a time
	gatherTime    = 3 * time.Millisecond
	gatherBacklog = 1024
)

// entry is one message to send, or one to remove.
type entry struct {
	body   string // to send
	delay  int32
	group  string
	handle string // to remove
	done   func(error)
}

// gatherer makes batches of the entries of many callers. A batch waits a moment for company, and for longer only while all
// senders are busy, so that batches fill under load and a lone entry goes at once.
type gatherer struct {
	queue    *Queue
	url      string
	maxBytes int
	run      func(ctx context.Context, url string, batch []*entry)

	entries chan *entry
	mu      sync.RWMutex
	closed  bool
}

func (q *Queue) newGatherer(url string, maxBytes int, run func(context.Context, string, []*entry)) *gatherer {
	g := &gatherer{queue: q, url: url, maxBytes: maxBytes, run: run, entries: make(chan *entry, gatherBacklog)}
	for range senders {
		q.work.Go(g.loop)
	}
	return g
}

var errClosed = postrider.Errorf(postrider.CodeUnavailable, "the queue is closed")

// add hands an entry on; it blocks while the backlog is full. The entry's done is called once, unless add fails.
func (g *gatherer) add(ctx context.Context, e *entry) error {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return errClosed
	}
	select {
	case g.entries <- e:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (g *gatherer) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.closed = true
		close(g.entries)
	}
}

// loop runs batches until the gatherer is closed and empty. An entry that did not fit into a batch begins the next one.
func (g *gatherer) loop() {
	var first *entry
	for {
		if first == nil {
			e, open := <-g.entries
			if !open {
				return
			}
			first = e
		}
		var batch []*entry
		batch, first = g.fill(first)
		g.run(g.queue.ctx, g.url, batch)
	}
}

func (g *gatherer) fill(first *entry) (batch []*entry, next *entry) {
	batch, size := []*entry{first}, len(first.body)
	timer := time.NewTimer(gatherTime)
	defer timer.Stop()
	for len(batch) < batchEntries && size < g.maxBytes {
		select {
		case e, open := <-g.entries:
			if !open {
				return batch, nil
			}
			if size+len(e.body) > g.maxBytes {
				return batch, e
			}
			batch, size = append(batch, e), size+len(e.body)
		case <-timer.C:
			return batch, nil
		}
	}
	return batch, nil
}
