package consume

import (
	"sync"

	"github.com/postrider/postrider/internal/match"
)

// chunksAhead is how many chunks of a partition may wait for each stage: whoever's turn it is waits for them.
const chunksAhead = 4

// partition is the pipeline of one partition, whose stages work in the same order: write matches and puts, confirm waits for the queue and
// records, finish waits for that and commits positions. Nothing is recorded before it is in the queue: after a crash the event is matched
// anew, perhaps to fewer targets, and what was recorded for the others would stay pending for ever.
type partition struct {
	*Consumer
	batches  chan *batch
	next     *batch // received, and not to be worked on beside those before it
	turns    turns
	chunks   chan *chunk // put
	recorded chan *chunk
	refs     []match.Ref

	mu   sync.Mutex
	open []*batch // to be committed in this order
	lost *batch   // the last one that was not committed
}

// newPartition has room for all batches there may be, so that one partition that stands still does not keep the next batch
// of another from it.
func (c *Consumer) newPartition() *partition {
	return &partition{Consumer: c, batches: make(chan *batch, maxBatches), chunks: make(chan *chunk, chunksAhead), recorded: make(chan *chunk, chunksAhead)}
}

// write matches events and puts what comes of them, chunk by chunk, without waiting for durability.
func (p *partition) write() {
	defer close(p.chunks)
	for b := p.receive(); b != nil; b = p.receive() {
		k := p.newChunk()
		p.admit(b)
		for !p.turns.empty() {
			p.turns.take(func(e read) (deliveries int) {
				k, deliveries = p.fanOut(k, e)
				return deliveries
			})
			p.admitMore(b)
		}
		k.of(b)
		p.hand(k)
	}
}

// receive waits for a batch; nil if there are no more.
func (p *partition) receive() *batch {
	if b := p.next; b != nil {
		p.next = nil
		return b
	}
	return <-p.batches
}

func (p *partition) admit(b *batch) {
	p.turns.add(b)
	if !b.Unordered || len(b.Events) == 0 {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.open = append(p.open, b)
	}
}

// admitMore takes the batches that have come meanwhile, as long as they are lost together with the one before.
func (p *partition) admitMore(before *batch) {
	for p.next == nil {
		select {
		case b := <-p.batches:
			switch {
			case b == nil:
				return
			case b.Lost != before.Lost:
				p.next = b
			default:
				p.admit(b)
			}
		default:
			return
		}
	}
}

// fanOut adds an event to a chunk, and returns the chunk to go on with, the same, or another if it was full, and how many deliveries there
// are. An event of a batch that is given up is passed over.
func (p *partition) fanOut(k *chunk, e read) (*chunk, int) {
	k.of(e.batch)
	if e.batch.ctx.Err() != nil {
		k.ends(e.batch)
		return k, 0
	}
	span := p.Tracer.Match(e.Event)
	e.Trace = span.Trace(e.Trace)
	refs, version := p.Cache.Match(e.Tenant, e.Type, p.refs[:0])
	p.refs = refs
	p.metrics.matched(len(refs) > 0)
	if k.hasOthers(e.Tenant) && p.mustStore(e.Event, refs) { // they do not wait for a store
		p.hand(k)
		k = p.newChunk()
		k.of(e.batch)
	}
	event, refused := p.refer(e.batch.ctx, e.Event, refs)
	span.Matched(len(refs))
	span.End()
	if e.batch.ctx.Err() != nil { // it may not have been stored
		k.ends(e.batch)
		return k, 0
	}
	for n := len(refs); ; {
		some := refs[:min(len(refs), maxTargets)]
		k.add(event, some, version, refused)
		if refs = refs[len(some):]; len(refs) == 0 {
			k.ends(e.batch)
		}
		if k.full() {
			p.hand(k)
			k = p.newChunk()
		}
		if len(refs) == 0 {
			return k, n
		}
		k.of(e.batch)
	}
}

// hand puts a chunk and hands it on.
func (p *partition) hand(k *chunk) {
	k.seal()
	p.put(k)
	p.chunks <- k
}

// confirm waits until each chunk in turn is in the queue, puts again what failed, and records what came of it.
func (p *partition) confirm() {
	defer close(p.recorded)
	for k := range p.chunks {
		if k.queuedAll = p.confirmPut(k); k.queuedAll {
			p.record(k)
		}
		p.recorded <- k
	}
}

// finish waits until each chunk in turn is recorded, records again what failed, and commits the position of each batch that is done.
func (p *partition) finish() {
	for k := range p.recorded {
		durable := k.queuedAll && p.confirmRecord(k)
		for _, part := range k.parts {
			b := part.batch
			b.left -= part.events
			b.failed = b.failed || !durable
			if b.Unordered && b.left == 0 {
				p.end(b)
			}
		}
		p.endInOrder()
	}
}

// endInOrder ends the batches that are done, up to one that is not.
func (p *partition) endInOrder() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.open) > 0 && p.open[0].left == 0 {
		p.end(p.open[0])
		p.open = p.open[1:]
	}
}

// end commits a batch, unless it was given up, or one before it, and releases it.
func (p *partition) end(b *batch) {
	defer b.release()
	switch {
	case b.failed || b.ctx.Err() != nil:
		p.lost = b
	case b.Unordered || p.lost == nil || p.lost.Lost != b.Lost:
		p.commit(b)
	}
}

func (p *partition) commit(b *batch) {
	p.commits.Lock()
	defer p.commits.Unlock()
	p.reader.Commit(b.EventBatch)
	if n := len(b.Events); n > 0 {
		p.metrics.delay.Observe(p.Clock().Sub(b.Events[n-1].AcceptedAt).Seconds())
	}
}
