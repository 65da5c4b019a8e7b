package consume

import (
	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/match"
)

// chunksAhead is how many chunks of a partition are written before the first is durable.
const chunksAhead = 16

// partition is the pipeline of one partition: write fills it, confirm empties it in the same order.
type partition struct {
	*Consumer
	batches chan *batch
	chunks  chan *chunk
	refs    []match.Ref
}

// newPartition has room for all batches there may be, so that one partition that stands still does not keep the next batch
// of another from it.
func (c *Consumer) newPartition() *partition {
	return &partition{Consumer: c, batches: make(chan *batch, maxBatches), chunks: make(chan *chunk, chunksAhead)}
}

// write matches batches and writes what comes of them, chunk by chunk, without waiting for durability.
func (p *partition) write() {
	defer close(p.chunks)
	for b := range p.batches {
		last := p.writeBatch(b)
		last.ends = true
		p.send(last)
	}
}

// writeBatch returns the batch's last chunk, written but not sent.
func (p *partition) writeBatch(b *batch) *chunk {
	k := p.newChunk(b)
	for _, e := range b.Events {
		if b.ctx.Err() != nil {
			break
		}
		k = p.fanOut(k, e)
	}
	p.writeChunk(k)
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
			p.writeChunk(k)
			p.send(k)
			k = p.newChunk(k.batch)
		}
		if len(refs) == 0 {
			return k
		}
	}
}

func (p *partition) writeChunk(k *chunk) {
	k.seal()
	p.put(k)
	p.record(k)
}

func (p *partition) send(k *chunk) { p.chunks <- k }

// confirm waits for each chunk in turn, writes again what failed, and commits the position of each batch that is done.
func (p *partition) confirm() {
	for k := range p.chunks {
		durable := p.confirmPut(k) && p.confirmRecord(k)
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
