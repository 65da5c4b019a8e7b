package kafka

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/internal/steady"
)

// A batch holds at most this many records, and no more after so many bytes.
const (
	batchRecords = 256
	batchBytes   = 4 << 20
)

// part is an assigned partition.
type part struct {
	member *member
	number int32
	lost   chan struct{} // closed when it is another member's

	ctx    context.Context // ends when no more is to be handed out
	cancel context.CancelFunc
	done   chan struct{} // the worker has ended
	once   sync.Once

	mu     sync.Mutex
	raw    []*kgo.Record
	bytes  int64 // of raw, and of what the worker has in hand
	paused bool
	gap    *gap
	next   int64 // offset that is to come next; -1: whichever comes
	high   int64 // end of the partition, as far as known
	wake   chan struct{}

	marks     []*mark // handed out or skipped, in order
	committed int64   // next offset to commit; -1: none yet
	epoch     int32
	saved     int64
	settled   chan struct{} // a signal that marks shrank
}

// mark is an item's place in the order of commits.
type mark struct {
	end   int64 // next offset after it
	epoch int32
	bytes int64
	taken bool // by Next
	ready bool // committed, or all skipped
}

func newPart(m *member, n int32) *part {
	p := &part{member: m, number: n, lost: make(chan struct{}), done: make(chan struct{}), wake: make(chan struct{}, 1),
		settled: make(chan struct{}, 1), next: -1, committed: -1, saved: -1}
	p.ctx, p.cancel = context.WithCancel(m.ctx)
	m.work.Go(p.run)
	return p
}

// expect sets the offset that is to come next.
func (p *part) expect(offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if offset >= 0 && p.next < 0 {
		p.next = offset
	}
}

// give takes fetched records. It does not block.
func (p *part) give(f kgo.FetchPartition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.high = max(f.HighWatermark, 0)
	if len(f.Records) == 0 {
		return
	}
	first := f.Records[0].Offset
	switch {
	case p.next >= 0 && first > p.next && f.LogStartOffset > p.next: // the retention was faster
		to := min(f.LogStartOffset, first)
		p.hole(p.next, to, to-p.next)
	case p.next >= 0 && first < p.next: // the topic was made anew, or its end was lost
		p.hole(p.next, first, -1)
	}
	for _, r := range f.Records {
		p.bytes += recordSize(r)
		p.member.buffered.Add(recordSize(r))
	}
	p.raw = append(p.raw, f.Records...)
	p.next = f.Records[len(f.Records)-1].Offset + 1
	p.pause()
	signal(p.wake)
}

func (p *part) hole(from, to, count int64) {
	p.member.log.Error("a gap in the log: its position was reset", "topic", p.member.topic, "partition", p.number, "from", from, "to", to, "count", count)
	if p.gap == nil {
		p.gap = &gap{from: from, to: to, count: count}
	}
}

// pause stops the fetching of a partition that is far ahead, and starts it again once half is dealt with.
func (p *part) pause() {
	limit := p.member.buffer / 4
	own := map[string][]int32{p.member.topic: {p.number}}
	switch {
	case !p.paused && p.bytes > limit:
		p.paused = true
		p.member.client.PauseFetchPartitions(own)
	case p.paused && p.bytes <= limit/2:
		p.paused = false
		p.member.client.ResumeFetchPartitions(own)
	}
}

func recordSize(r *kgo.Record) int64 { return int64(len(r.Value)+len(r.Key)) + 256 }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run makes items of what is given, until the partition goes.
func (p *part) run() {
	defer close(p.done)
	var pause steady.Backoff
	for p.ctx.Err() == nil {
		records, gap, size := p.grab()
		if len(records) == 0 {
			select {
			case <-p.wake:
			case <-p.ctx.Done():
			}
			continue
		}
		value, err := p.member.decode(p.ctx, p, records, gap)
		for err != nil && p.ctx.Err() == nil {
			pause.After(p.ctx, p.member.log, "decoding of records", err)
			value, err = p.member.decode(p.ctx, p, records, gap)
		}
		if err != nil {
			p.free(size)
			return
		}
		pause.Reset()
		p.hand(records, value, size)
	}
}

// grab takes the next records for one item.
func (p *part) grab() (records []*kgo.Record, g *gap, size int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.raw) && n < batchRecords && size < batchBytes {
		size += recordSize(p.raw[n])
		n++
	}
	if n == 0 {
		return nil, nil, 0
	}
	records, p.raw = p.raw[:n:n], p.raw[n:]
	if len(p.raw) == 0 {
		p.raw = nil
	}
	g, p.gap = p.gap, nil
	return records, g, size
}

// hand waits until Next takes the item. What was skipped whole is marked as dealt with.
func (p *part) hand(records []*kgo.Record, value any, size int64) {
	last := records[len(records)-1]
	m := &mark{end: last.Offset + 1, epoch: last.LeaderEpoch, bytes: size, ready: value == nil, taken: value == nil}
	p.mu.Lock()
	p.marks = append(p.marks, m)
	p.mu.Unlock()
	defer p.free(size)
	if value == nil {
		p.advance(nil)
		return
	}
	select {
	case p.member.out <- &item{part: p, value: value, mark: m}:
	case <-p.ctx.Done():
	}
}

func (p *part) free(size int64) {
	p.mu.Lock()
	p.bytes -= size
	p.pause()
	p.mu.Unlock()
	p.member.freed(size)
}

// take notes that Next returns an item; false if its partition has stopped, or the item is void.
func (p *part) take(i *item) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return false
	}
	if i.mark == nil {
		return i.at == max(p.next, 0)
	}
	i.mark.taken = true
	return true
}

// advance marks an item as dealt with, and moves the offset to commit past all that are, in order.
func (p *part) advance(m *mark) {
	p.mu.Lock()
	if m != nil {
		m.ready = true
	}
	for len(p.marks) > 0 && p.marks[0].ready {
		p.committed, p.epoch = p.marks[0].end, p.marks[0].epoch
		p.marks = p.marks[1:]
	}
	far := p.committed-p.saved >= commitRecords
	p.mu.Unlock()
	signal(p.settled)
	if far {
		signal(p.member.nudge)
	}
}

// settle stops handing out, and waits a short time until what Next returned is dealt with.
func (p *part) settle(ctx context.Context, wait time.Duration) {
	p.mu.Lock()
	p.cancel() // under the lock, so that take is before or after it
	p.mu.Unlock()
	<-p.done
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for p.inHand() {
		select {
		case <-p.settled:
		case <-ctx.Done():
			return
		}
	}
}

func (p *part) inHand() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.marks {
		if m.taken && !m.ready {
			return true
		}
	}
	return false
}

// end lets the partition go. What was not handed out is forgotten.
func (p *part) end() {
	p.once.Do(func() {
		p.cancel()
		<-p.done
		close(p.lost)
		p.mu.Lock()
		var left int64
		for _, r := range p.raw {
			left += recordSize(r)
		}
		p.raw = nil
		p.mu.Unlock()
		p.member.freed(left)
	})
}

// quiet reports whether all up to an end was handed out, and where the partition is read on.
func (p *part) quiet(end int64) (at int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.marks {
		if !m.taken {
			return 0, false
		}
	}
	at = max(p.next, 0)
	return at, len(p.raw) == 0 && at >= end && p.bytes == 0
}
