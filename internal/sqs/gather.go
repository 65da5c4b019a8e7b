package sqs

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider"
)

const (
	batchEntries  = 10 // SQS's limit
	senders       = 8  // batches of one gatherer under way at a time
	gatherBacklog = 1024

	// removeWait is long, since nobody waits for a removal but the bookkeeping: a crash meanwhile makes twins of what had
	// just been delivered.
	removeWait = 200 * time.Millisecond
)

// sendWait is how long an entry waits for company. What is a first attempt is urgent; retries come singly from many
// deliveries that failed, and wait anyway.
func sendWait(lane postrider.Lane) time.Duration {
	if lane == postrider.LaneRetry {
		return 50 * time.Millisecond
	}
	return 3 * time.Millisecond
}

// entry is one message to send, or one to remove.
type entry struct {
	body   string // to send
	delay  int32
	group  string
	handle string // to remove
	done   func(error)
}

// gatherer makes batches of the entries of many callers. A batch waits for company, and longer only while all senders are
// busy, so that batches fill under load and a lone entry goes soon.
type gatherer struct {
	queue *Queue
	lane  *lane
	wait  time.Duration
	run   func(ctx context.Context, l *lane, batch []*entry) bool

	failing atomic.Bool // the last batch failed for lack of an answer: the next ones are tried for a shorter time

	entries chan *entry
	free    chan struct{} // holds a value for each batch under way
	mu      sync.RWMutex
	closed  bool
	ended   chan struct{}
}

func (q *Queue) newGatherer(l *lane, wait time.Duration, run func(context.Context, *lane, []*entry) bool) *gatherer {
	g := &gatherer{queue: q, lane: l, wait: wait, run: run, entries: make(chan *entry, gatherBacklog), free: make(chan struct{}, senders),
		ended: make(chan struct{})}
	q.work.Go(g.loop)
	return g
}

var errClosed = postrider.Errorf(postrider.CodeGone, "the queue is closed")

// add hands an entry on; it blocks while the backlog is full, for patience at most. The entry's done is called once, unless add
// fails.
func (g *gatherer) add(ctx context.Context, e *entry, patience time.Duration) error {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return errClosed
	}
	select {
	case g.entries <- e:
		return nil
	default:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case g.entries <- e:
		return nil
	case <-timer.C:
		return postrider.Errorf(postrider.CodeUnavailable, "the queue %s is too far behind", g.lane.name)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// close ends the gatherer once it is empty, and waits for that.
func (g *gatherer) close() {
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		close(g.entries)
	}
	g.mu.Unlock()
	<-g.ended
}

// loop runs batches until the gatherer is closed and empty. An entry that did not fit into a batch begins the next one.
func (g *gatherer) loop() {
	var running sync.WaitGroup
	defer close(g.ended)
	defer running.Wait()
	var next *entry
	for {
		if next == nil {
			e, open := <-g.entries
			if !open {
				return
			}
			next = e
		}
		var batch []*entry
		batch, next = g.fill(next)
		running.Go(func() {
			defer func() { <-g.free }()
			g.try(batch)
		})
	}
}

// probing is how long a batch is tried after the last one failed, so that a backlog ends soon while the server is away.
const probing = 2 * time.Second

// try runs a batch within its time, which begins now: waiting for a server that is slow is no failure.
func (g *gatherer) try(batch []*entry) {
	within := g.queue.timeout
	if g.failing.Load() {
		within = min(within, probing)
	}
	ctx, cancel := context.WithTimeout(g.queue.ctx, within)
	defer cancel()
	g.failing.Store(!g.run(ctx, g.lane, batch))
}

// fill makes a batch, for which a sender is free then.
func (g *gatherer) fill(first *entry) (batch []*entry, next *entry) {
	batch, size := append(make([]*entry, 0, batchEntries), first), len(first.body)
	timer := time.NewTimer(g.wait)
	defer timer.Stop()
	entries, due, free := g.entries, timer.C, chan struct{}(nil)
	for {
		if len(batch) == batchEntries || next != nil || entries == nil || size >= g.queue.limits.MaxBytes {
			g.free <- struct{}{}
			return batch, next
		}
		select {
		case e, open := <-entries:
			switch {
			case !open:
				entries = nil
			case size+len(e.body) > g.queue.limits.MaxBytes:
				next = e
			default:
				batch, size = append(batch, e), size+len(e.body)
			}
		case <-due:
			free = g.free
		case free <- struct{}{}:
			return batch, nil
		}
	}
}
