package consume

import (
	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/match"
)

// chunksAhead is how many chunks of a partition may wait for each stage.
const chunksAhead = 16

// partition is the pipeline of one partition, whose stages work in the same order: write matches and puts, confirm waits for the queue and
// records, finish waits for that and commits positions. Nothing is recorded before it is in the queue: after a crash the event is matched
// anew, perhaps to fewer targets, and what was recorded for the others would stay pending for ever.
type partition struct {
	*Consumer
	batches  chan *batch
	chunks   chan *chunk // put
	recorded chan *chunk
	refs     []match.Ref
}

// newPartition has room for all batches there may be, so that one partition that stands still does not keep the next batch
// of another from it.
func (c *Consumer) newPartition() *partition {
	return &partition{Consumer: c, batches: make(chan *batch, maxBatches), chunks: make(chan *chunk, chunksAhead), recorded: make(chan *chunk, chunksAhead)}
}

// write matches batches and puts what comes of them, chunk by chunk, without waiting for durability.
func (p *partition) write() {
	defer close(p.chunks)
	for b := range p.batches {
		last := p.writeBatch(b)
		last.ends = true
		p.send(last)
	}
}

// writeBatch returns the batch's last chunk, put but not sent.
func (p *partition) writeBatch(b *batch) *chunk {
	k := p.newChunk(b)
	for _, e := range b.Events {
		if b.ctx.Err() != nil {
			break
		}
		k = p.fanOut(k, e)
	}
	k.seal()
	p.put(k)
	return k
}

// fanOut adds an event to a chunk, and returns the chunk to go on with: the same, or another if it was full.
func (p *partition) fanOut(k *chunk, e *postrider.Event) *chunk {
	span := p.Tracer.Match(e)
	e.Trace = span.Trace(e.Trace)
	refs, version := p.Cache.Match(e.Tenant, e.Type, p.refs[:0])
	p.refs = refs
	p.metrics.matched(len(refs) > 0)
	event, refused := p.refer(k.batch.ctx, e, refs)
	span.Matched(len(refs))
	span.End()
	for {
		some := refs[:min(len(refs), maxTargets)]
		k.add(event, some, version, refused)
		refs = refs[len(some):]
		if k.full() {
			k.seal()
			p.put(k)
			p.send(k)
			k = p.newChunk(k.batch)
		}
		if len(refs) == 0 {
			return k
		}
	}
}

func (p *partition) send(k *chunk) { p.chunks <- k }

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
		if !k.ends {
			continue
		}
		// A batch of which a chunk was given up has a context that has ended: its last chunk was given up too.
		if durable && k.batch.ctx.Err() == nil {
			p.commit(k.batch)
		}
		k.batch.release()
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
