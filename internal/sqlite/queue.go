package sqlite

import (
	"container/heap"
	"container/list"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/wire"
)

const (
	queueMaxDelay = 30 * 24 * time.Hour
	queueMaxBytes = 32 << 20
	heldItems     = 20_000   // items kept in memory after they were put, so that taking them reads nothing
	heldBytes     = 32 << 20 // of their payloads
	longestSleep  = 30 * time.Second
	fullPoll      = 5 * time.Millisecond
)

// queue is a postrider.Queue. Which items there are, and when they are due, is in memory (24 bytes for one that is delayed and
// in the file only); what is in them is in the file, and for the newest also in memory. Leases are in memory only: the folder has one process.
//
// An item that is settled in the group of its put is never written: both are left out.
type queue struct {
	db   *DB
	mu   sync.Mutex
	next int64 // id of the next item

	lanes   [postrider.Lanes]*laneState
	leases  *list.List // of *leased, by expiry, since all leases last the same
	held    int
	bytes   int64
	stopped bool
	done    chan struct{}
	loading sync.WaitGroup
}

var _ postrider.Queue = (*queue)(nil)

// entry is an item as memory knows it.
type entry struct {
	id       int64
	due      int64 // milliseconds
	tenant   string
	weight   int32
	receives int32
	lane     postrider.Lane
	state    entryState
	shown    bool              // it was put into its lane
	queued   bool              // it is in its lane; one that was demoted stays so, since another entry comes for it
	lease    *leased           // whose it is; nil: nobody's
	settler  *leased           // by whom it was settled, once its state says so
	commit   *postrider.Commit // of its put; nil if it was read from the file
	item     *postrider.Item   // nil: in the file only
}

// entryState says how far an item's put has come.
type entryState uint8

const (
	stateWaiting entryState = iota // its put is in a group that has not run
	stateWritten                   // in the file, or in a group that runs
	stateSettled                   // removed, or to be removed in the group that would have written it
)

type leased struct {
	*entry
	expires time.Time
	take    int32         // how often the item was taken, with this lease
	element *list.Element // nil once the lease is over
	removed bool          // its settling has run
}

func openQueue(ctx context.Context, db *DB) (*queue, error) {
	q := &queue{db: db, next: 1, leases: list.New(), done: make(chan struct{})}
	for i := range q.lanes {
		q.lanes[i] = newLaneState(postrider.Lane(i))
	}
	return q, q.load(ctx)
}

// Limits tells what the queue takes; see postrider.Queue.
func (q *queue) Limits() postrider.QueueLimits {
	return postrider.QueueLimits{MaxDelay: queueMaxDelay, Lease: q.db.options.QueueLease, MaxBytes: queueMaxBytes}
}

// Fits reports whether an item is within the size that the queue takes.
func (q *queue) Fits(item *postrider.Item) bool { return len(encodeItem(item)) <= queueMaxBytes }

func encodeItem(item *postrider.Item) []byte {
	if item.Pack != nil {
		return wire.AppendPack(nil, item.Pack)
	}
	return wire.AppendOutcomes(nil, item.Outcomes)
}

func weightOf(item *postrider.Item) int32 {
	if item.Pack != nil {
		return int32(max(len(item.Pack.Deliveries), 1))
	}
	return int32(max(len(item.Outcomes), 1))
}

func handBytes(item *postrider.Item) (n int64) {
	if item.Pack == nil {
		return int64(len(item.Outcomes)) * 512
	}
	var last *postrider.Event
	for i := range item.Pack.Deliveries {
		if e := item.Pack.Deliveries[i].Event; e != last {
			n, last = n+int64(len(e.Payload.Bytes))+512, e
		}
	}
	return n
}

// Put adds items; see postrider.Queue. They may be taken at once.
func (q *queue) Put(ctx context.Context, items ...postrider.Item) (*postrider.Commit, error) {
	if len(items) == 0 {
		return postrider.Committed(), nil
	}
	return q.change(ctx, nil, items)
}

// Settle removes an item and adds what follows in one group; see postrider.Queue.
func (q *queue) Settle(ctx context.Context, l *postrider.Lease, follow ...postrider.Item) (*postrider.Commit, error) {
	return q.change(ctx, l.Engine.(*leased), follow)
}

// change is a lease that is settled, if there is one, and what is put, in one group.
type change struct {
	lease *leased
	puts  []put
	late  bool // what is put is not shown before it is durable
	over  bool // the group has failed
}

// put is an item on its way into the file. The entry may be taken, and given back with another due time, before it is there.
type put struct {
	*entry
	firstDue int64
	body     []byte
	crc      int64
}

func (q *queue) prepare(items []postrider.Item) ([]put, int, error) {
	puts, bytes := make([]put, len(items)), 0
	now := q.db.clock()
	for i := range items {
		item := items[i]
		if item.Delay < 0 || item.Delay > queueMaxDelay {
			return nil, 0, postrider.Errorf(postrider.CodeInvalid, "a delay of %v is outside 0 to %v", item.Delay, queueMaxDelay)
		}
		body := encodeItem(&item)
		if len(body) > queueMaxBytes {
			return nil, 0, postrider.Errorf(postrider.CodeTooLarge, "an item has %d bytes encoded; the queue takes %d", len(body), queueMaxBytes)
		}
		e := &entry{due: dueAfter(now, item.Delay), weight: weightOf(&item), lane: item.Lane, item: &item}
		if item.Pack != nil {
			e.tenant = item.Pack.Tenant
		}
		puts[i] = put{e, e.due, body, checksum(body)}
		bytes += len(body) + 64
	}
	return puts, bytes, nil
}

// change settles a lease, if there is one, and puts items, in one group.
func (q *queue) change(ctx context.Context, l *leased, items []postrider.Item) (*postrider.Commit, error) {
	puts, bytes, err := q.prepare(items)
	if err != nil {
		return nil, err
	}
	c := &change{lease: l, puts: puts}
	q.mu.Lock()
	if q.stopped {
		q.mu.Unlock()
		return nil, postrider.Errorf(postrider.CodeUnavailable, "the queue is closed")
	}
	// While the disk fails, what was shown before its commit would be taken, and sent, as often as its put is tried.
	awaited := slices.ContainsFunc(items, func(i postrider.Item) bool { return i.Durable })
	c.late = awaited || q.db.writer.doubtful() || c.settledByAnother()
	for _, p := range puts {
		p.id = q.next
		q.next++
	}
	q.mu.Unlock()
	add := q.db.writer.addLazily // what is put is shown at once, so that only a publisher who is told waits for it
	if awaited {
		add = q.db.writer.add
	}
	commit, err := add(ctx, bytes+32, func(t *tx) error { return q.apply(t, c) }, func() { q.undo(c) })
	if err != nil {
		return nil, err
	}
	q.publish(c, commit)
	return commit, nil
}

// settledByAnother reports whether the lease was over, and its item is another's who settled it; so far, if that is not durable.
func (c *change) settledByAnother() bool {
	return c.lease != nil && c.lease.state == stateSettled && c.lease.settler != c.lease
}

// publish makes a change visible in memory.
func (q *queue) publish(c *change, commit *postrider.Commit) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l := c.lease; l != nil && !c.over {
		q.endLease(l)
		if l.state == stateWaiting && l.commit == commit {
			l.state, l.settler = stateSettled, l
		}
	}
	if !c.late {
		q.show(c.puts, commit)
	}
}

// show puts items into their lanes.
func (q *queue) show(puts []put, commit *postrider.Commit) {
	now := q.db.clock().UnixMilli()
	for _, p := range puts {
		if p.state == stateSettled { // it was withdrawn already
			continue
		}
		p.commit, p.shown = commit, true
		if size := handBytes(p.item); q.held < heldItems && q.bytes+size <= heldBytes {
			q.held, q.bytes = q.held+1, q.bytes+size
		} else {
			p.item = nil
		}
		q.lanes[p.lane].add(p.entry, now)
	}
}

// apply writes a change. It runs on the writer, when all groups before this one are durable or undone.
func (q *queue) apply(t *tx, c *change) error {
	remove, puts := q.decide(c)
	if remove {
		if err := t.exec("DELETE FROM queue WHERE id = ?", c.lease.id); err != nil {
			return err
		}
	}
	for _, p := range puts {
		if !q.mustWrite(p.entry) {
			continue
		}
		if err := t.exec("INSERT INTO queue (id, lane, tenant, due, weight, body, crc) VALUES (?, ?, ?, ?, ?, ?, ?)",
			p.id, int(p.lane), p.tenant, p.firstDue, p.weight, p.body, p.crc); err != nil {
			return err
		}
	}
	if c.late && len(puts) > 0 {
		t.onCommit(func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			q.show(puts, postrider.Committed())
		})
	}
	return nil
}

// decide says whether a change has to remove its item, and what it has to put: nothing, where the item was another's who has settled
// it, since what follows is there then. Only now is that certain: when the change was asked for, the other's group might have failed.
func (q *queue) decide(c *change) (remove bool, puts []put) {
	if c.lease == nil {
		return false, c.puts
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if c.settledByAnother() {
		q.withdraw(c.puts)
		return false, nil
	}
	l := c.lease
	if l.state != stateWritten {
		return false, c.puts
	}
	l.state, l.settler, l.removed = stateSettled, l, true
	return true, c.puts
}

func (q *queue) mustWrite(e *entry) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e.state != stateWaiting {
		return false
	}
	e.state = stateWritten
	return true
}

// undo takes back a change whose group was not committed: what was put is gone, and a lease holds again, so that whoever has it may
// settle it once more. In the meantime nobody else takes the item.
func (q *queue) undo(c *change) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c.over = true
	q.withdraw(c.puts)
	l := c.lease
	if l == nil {
		return
	}
	if l.removed && l.settler == l {
		l.state, l.settler, l.removed = stateWritten, nil, false
	}
	if l.state == stateWritten {
		q.restore(l)
	}
}

// withdraw takes back what was put. Who has taken it already settles it in vain.
func (q *queue) withdraw(puts []put) {
	for _, p := range puts {
		if p.shown {
			q.lanes[p.lane].remove(p.entry)
			q.release(p.entry)
		}
		p.state, p.settler, p.item = stateSettled, nil, nil
	}
}

// restore makes a lease hold again that was ended for nothing, until its time; its item is due again if that is past.
func (q *queue) restore(l *leased) {
	if l.queued || l.lease != nil { // it is in its lane already, or somebody's
		return
	}
	if now := q.db.clock(); !l.expires.After(now) {
		l.due = now.UnixMilli()
		q.lanes[l.lane].add(l.entry, l.due)
		return
	}
	before := q.leases.Back()
	for before != nil && before.Value.(*leased).expires.After(l.expires) {
		before = before.Prev()
	}
	if before == nil {
		l.element = q.leases.PushFront(l)
	} else {
		l.element = q.leases.InsertAfter(l, before)
	}
	l.lease = l
}

// release forgets the copy in memory.
func (q *queue) release(e *entry) {
	if e.item != nil {
		q.held, q.bytes = q.held-1, q.bytes-handBytes(e.item)
		e.item = nil
	}
}

func (q *queue) endLease(l *leased) {
	if l.element != nil {
		q.leases.Remove(l.element)
		l.element = nil
		l.lease = nil
	}
}

// Return makes an item due again; see postrider.Queue. After a crash it is due at once.
func (q *queue) Return(_ context.Context, l *postrider.Lease, delay time.Duration) error {
	le := l.Engine.(*leased)
	q.mu.Lock()
	defer q.mu.Unlock()
	if le.element == nil {
		return nil
	}
	q.endLease(le)
	now := q.db.clock()
	le.due = dueAfter(now, min(max(delay, 0), queueMaxDelay))
	q.lanes[le.lane].add(le.entry, now.UnixMilli())
	return nil
}

// Stats counts the lanes; see postrider.Queue.
func (q *queue) Stats(context.Context) ([postrider.Lanes]postrider.LaneStats, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var all [postrider.Lanes]postrider.LaneStats
	now := q.db.clock().UnixMilli()
	for i, lane := range q.lanes {
		lane.promote(now)
		all[i] = postrider.LaneStats{Items: int64(lane.count), Delayed: int64(len(lane.delayed) + lane.cold.len()), Oldest: lane.oldest(now)}
	}
	for el := q.leases.Front(); el != nil; el = el.Next() {
		all[el.Value.(*leased).lane].Items++
	}
	return all, nil
}

// Close does nothing: the file is the DB's.
func (q *queue) Close() error { return nil }

func (q *queue) stop() {
	q.mu.Lock()
	if !q.stopped {
		q.stopped = true
		close(q.done)
	}
	q.mu.Unlock()
	q.loading.Wait()
}

var (
	_ heap.Interface = (*delayHeap)(nil)
	_ heap.Interface = (*coldHeap)(nil)
)

// dueAfter is the first millisecond in which a delay is over. One that ended before would bring an item that is not due yet,
// which is put back at once, again and again.
func dueAfter(now time.Time, delay time.Duration) int64 {
	if delay == 0 {
		return now.UnixMilli()
	}
	return now.Add(delay + time.Millisecond - 1).UnixMilli()
}
