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
	held   bool  // what it has waits for another part: its bytes then don't count against the other partitions
	paused bool
	first  time.Time // of what the worker has in hand
	gap    *gap
	next   int64 // offset that is to come next; -1: whichever comes
	began  int64 // offset from which it is read; -1: unknown
	high   int64 // end of the partition, as far as known
	before int64 // up to here it was handed on before it went and came back
	handed int64 // up to here it is handed on
	wake   chan struct{}

	marks     []*mark // handed out or skipped, in order
	committed int64   // next offset to commit; -1: none yet
	epoch     int32
	saved     int64
	unsaved   time.Time     // since when something has been dealt with and is not committed; zero: nothing is
	settled   chan struct{} // a signal that marks shrank
	caught    chan struct{} // a signal that saved grew
}

// mark is an item's place in the order of commits.
type mark struct {
	first time.Time // of its records
	end   int64     // next offset after it
	epoch int32
	again int  // how many of its records were handed on before
	taken bool // by Next
	ready bool // committed, or all skipped
}

func newPart(m *member, n int32) *part {
	p := &part{member: m, number: n, lost: make(chan struct{}), done: make(chan struct{}), wake: make(chan struct{}, 1),
		settled: make(chan struct{}, 1), caught: make(chan struct{}, 1), next: -1, began: -1, committed: -1, saved: -1}
	p.ctx, p.cancel = context.WithCancel(m.ctx)
	m.work.Go(p.run)
	return p
}

// expect sets the offset that is to come next. first commits it, so that a group that began at the latest goes on there.
func (p *part) expect(offset int64, first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if offset < 0 || p.next >= 0 {
		return
	}
	p.next, p.began = offset, offset
	if first {
		p.committed = offset
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
	if p.began < 0 {
		p.began = first
	}
	switch {
	case p.next >= 0 && first > p.next && f.LogStartOffset > p.next: // the retention was faster
		to := min(f.LogStartOffset, first)
		p.hole(p.next, to, to-p.next)
	case p.next >= 0 && first < p.next: // the topic was made anew, or its end was lost
		p.hole(p.next, first, -1)
	}
	p.account(sizeOf(f.Records))
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

// account changes the bytes that are held here.
func (p *part) account(n int64) {
	p.bytes += n
	if !p.held {
		p.member.buffered.Add(n)
	}
}

// hold sets whether the partition waits for another part.
func (p *part) hold(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case on == p.held:
		return
	case on:
		p.member.freed(p.bytes)
		p.member.metrics.held.Inc()
	default:
		p.member.buffered.Add(p.bytes)
		p.member.metrics.held.Dec()
	}
	p.held = on
}

// pause stops the fetching of a partition that is far ahead, and starts it again once half is dealt with.
func (p *part) pause() {
	limit := p.member.share()
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

func sizeOf(records []*kgo.Record) (n int64) {
	for _, r := range records {
		n += recordSize(r)
	}
	return n
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run makes items of what is given, until the partition goes.
func (p *part) run() {
	defer close(p.done)
	for p.ctx.Err() == nil {
		records, gap := p.grab()
		if len(records) == 0 {
			select {
			case <-p.wake:
			case <-p.ctx.Done():
			}
			continue
		}
		p.work(records, gap)
	}
}

// work hands on records, as many at once as can be decoded. What has to wait is tried again with growing pauses.
func (p *part) work(records []*kgo.Record, gap *gap) {
	defer func() { p.free(sizeOf(records)) }()
	defer p.hold(false)
	var pause steady.Backoff
	for len(records) > 0 && p.ctx.Err() == nil {
		value, n, err := p.member.decode(p.ctx, p, records, gap)
		if err != nil {
			if p.ctx.Err() == nil {
				p.hold(true)
				pause.After(p.ctx, p.member.log.With("topic", p.member.topic, "partition", p.number, "offset", records[0].Offset), "decoding of records", err)
			}
			continue
		}
		p.hold(false)
		pause.Reset()
		p.hand(records[:n], value)
		records, gap = records[n:], nil
	}
}

// grab takes the next records for one item.
func (p *part) grab() (records []*kgo.Record, g *gap) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, size := 0, int64(0)
	for n < len(p.raw) && n < batchRecords && size < batchBytes {
		size += recordSize(p.raw[n])
		n++
	}
	if n == 0 {
		return nil, nil
	}
	records, p.raw = p.raw[:n:n], p.raw[n:]
	if len(p.raw) == 0 {
		p.raw = nil
	}
	g, p.gap = p.gap, nil
	p.first = records[0].Timestamp
	return records, g
}

// hand waits until Next takes the item. What was skipped whole is marked as dealt with.
func (p *part) hand(records []*kgo.Record, value any) {
	last := records[len(records)-1]
	m := &mark{first: records[0].Timestamp, end: last.Offset + 1, epoch: last.LeaderEpoch, ready: value == nil, taken: value == nil}
	p.mu.Lock()
	for n := 0; n < len(records) && records[n].Offset < p.before; n++ {
		m.again++
	}
	p.marks = append(p.marks, m)
	p.mu.Unlock()
	defer p.free(sizeOf(records))
	if value == nil {
		p.advance(nil)
		return
	}
	if !p.awaitCommits(m.end) {
		return
	}
	select {
	case p.member.out <- &item{part: p, value: value, mark: m}:
	case <-p.ctx.Done():
	}
}

// awaitCommits waits until what a crash would have read again is little enough for more to be handed out: what is not
// committed has at most maxUncommitted offsets, and none of it was dealt with longer ago than commitWindow. It reports false if
// the partition goes first. A member that keeps its position elsewhere waits for nothing.
func (p *part) awaitCommits(end int64) bool {
	for p.member.start == nil && p.ahead(end) {
		select {
		case <-p.caught:
		case <-p.ctx.Done():
			return false
		}
	}
	return true
}

func (p *part) ahead(end int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.unsaved.IsZero() && time.Since(p.unsaved) > commitWindow {
		return true
	}
	if len(p.marks) == 1 && p.unsaved.IsZero() { // this one is alone, whatever it spans
		return false
	}
	return end-max(p.saved, p.began) > maxUncommitted
}

// keep notes that an offset has been committed, of what was dealt with before a time.
func (p *part) keep(offset int64, asked time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if offset > p.committed { // the offsets have begun anew since
		return
	}
	p.saved, p.unsaved = offset, time.Time{}
	if p.committed > offset {
		p.unsaved = asked
	}
	signal(p.caught)
}

func (p *part) free(size int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.account(-size)
	if p.bytes == 0 {
		p.first = time.Time{}
	}
	p.pause()
	signal(p.member.room)
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
	p.handed = i.mark.end
	p.member.metrics.again.Add(float64(i.mark.again))
	return true
}

// reached is up to where the partition was handed on.
func (p *part) reached() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.handed
}

// advance marks an item as dealt with, and moves the offset to commit past all that are, in order.
func (p *part) advance(m *mark) {
	p.mu.Lock()
	if m != nil {
		m.ready = true
	}
	for len(p.marks) > 0 && p.marks[0].ready {
		if p.marks[0].end < p.committed { // the offsets began anew
			p.saved = -1
		}
		p.committed, p.epoch = p.marks[0].end, p.marks[0].epoch
		p.marks = p.marks[1:]
	}
	if p.unsaved.IsZero() && p.committed > p.saved {
		p.unsaved = time.Now()
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
		defer p.mu.Unlock()
		p.account(-sizeOf(p.raw))
		p.raw = nil
		signal(p.member.room)
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
