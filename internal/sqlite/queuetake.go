package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/wire"
)

// unreadableFor is how long an item that can't be read is put off: nothing mends it but a restored file or a later version.
const unreadableFor = 15 * time.Minute

// stored is an item as the file has it.
type stored struct {
	body []byte
	crc  sql.NullInt64
}

// Take leases items; see postrider.Queue. Tenants take turns.
func (q *queue) Take(ctx context.Context, r postrider.TakeRequest) ([]*postrider.Lease, error) {
	for {
		taken, wait, err := q.takeDue(r)
		if err != nil {
			return nil, err
		}
		if len(taken) > 0 {
			leases, err := q.hand(ctx, taken)
			if err != nil || len(leases) > 0 {
				return leases, err
			}
			continue
		}
		if err := q.sleep(ctx, r.Lane, wait); err != nil {
			return nil, err
		}
	}
}

func (q *queue) sleep(ctx context.Context, lane postrider.Lane, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-q.lanes[lane].wake:
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-q.done:
		return postrider.Errorf(postrider.CodeGone, "the queue is closed")
	}
	return nil
}

// takeDue leases what is due within the credit, or tells how long to wait.
func (q *queue) takeDue(r postrider.TakeRequest) ([]*leased, time.Duration, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped {
		return nil, 0, postrider.Errorf(postrider.CodeGone, "the queue is closed")
	}
	now := q.db.clock()
	q.expire(now)
	lane := q.lanes[r.Lane]
	lane.promote(now.UnixMilli())
	lane.demote()
	var taken []*leased
	for credit := int32(min(r.Credit, 1<<20)); credit > 0; {
		e := lane.take(credit, len(taken) == 0, r.Full)
		if e == nil {
			break
		}
		credit -= e.weight
		e.receives++
		l := &leased{entry: e, expires: now.Add(q.db.options.QueueLease), take: e.receives}
		l.element = q.leases.PushBack(l)
		e.lease = l
		taken = append(taken, l)
	}
	if lane.count > 0 {
		lane.signal() // for another taker
	}
	if len(taken) == 0 {
		return nil, q.untilNext(lane, now), nil
	}
	return taken, 0, nil
}

// untilNext is how long nothing changes by itself.
func (q *queue) untilNext(lane *laneState, now time.Time) time.Duration {
	if lane.count > 0 { // due, but not wanted now: the taker's hint changes without a signal
		select {
		case <-lane.wake:
		default:
		}
		return fullPoll
	}
	wait := longestSleep // the wall clock may jump
	if len(lane.delayed) > 0 {
		wait = min(wait, time.UnixMilli(lane.delayed[0].due).Sub(now)+time.Millisecond)
	}
	if lane.cold.len() > 0 {
		wait = min(wait, time.UnixMilli(lane.cold.heap[0].due).Sub(now)+time.Millisecond)
	}
	if front := q.leases.Front(); front != nil {
		wait = min(wait, front.Value.(*leased).expires.Sub(now)+time.Millisecond)
	}
	return max(wait, time.Millisecond)
}

// expire ends leases that are over; their items are due again.
func (q *queue) expire(now time.Time) {
	for front := q.leases.Front(); front != nil; front = q.leases.Front() {
		l := front.Value.(*leased)
		if l.expires.After(now) {
			return
		}
		q.endLease(l)
		if l.state == stateSettled {
			continue
		}
		l.due = now.UnixMilli()
		q.lanes[l.lane].add(l.entry, now.UnixMilli())
	}
}

// hand makes leases of what was taken, reading from the file what is not in memory.
func (q *queue) hand(ctx context.Context, taken []*leased) ([]*postrider.Lease, error) {
	leases := make([]*postrider.Lease, 0, len(taken))
	bodies := q.bodies(ctx, taken)
	for i, l := range taken {
		item, err := q.itemOf(ctx, l.entry, bodies)
		if postrider.CodeOf(err) == postrider.CodeMalformed {
			q.db.log.Error("an item of the queue can't be read; it is left there", "item", l.id, "tenant", l.tenant, "error", err)
			_ = q.Return(ctx, &postrider.Lease{Engine: l}, unreadableFor)
			continue
		}
		if err != nil {
			for _, rest := range taken[i:] {
				_ = q.Return(ctx, &postrider.Lease{Engine: rest}, 0)
			}
			if len(leases) > 0 {
				return leases, nil
			}
			return nil, err
		}
		if item == nil { // settled by a taker whose lease was over
			q.mu.Lock()
			q.endLease(l)
			q.mu.Unlock()
			continue
		}
		leases = append(leases, &postrider.Lease{Item: *item, Expires: l.expires, Receives: int(l.take), Engine: l})
	}
	return leases, nil
}

// bodies reads the items of which memory has no copy, in one go, if there are several. Where it fails, each is read alone.
func (q *queue) bodies(ctx context.Context, taken []*leased) map[int64]stored {
	ids := []byte{'['}
	n := 0
	q.mu.Lock()
	for _, l := range taken {
		if l.item == nil {
			if n++; n > 1 {
				ids = append(ids, ',')
			}
			ids = strconv.AppendInt(ids, l.id, 10)
		}
	}
	q.mu.Unlock()
	if n < 2 {
		return nil
	}
	rows, err := q.db.often.query(ctx, "SELECT id, body, crc FROM queue WHERE id IN (SELECT value FROM json_each(?))", string(append(ids, ']')))
	if err != nil {
		return nil
	}
	bodies := make(map[int64]stored, n)
	err = each(rows, func(rows *sql.Rows) error {
		var id int64
		var s stored
		if err := rows.Scan(&id, &s.body, &s.crc); err != nil {
			return err
		}
		bodies[id] = s
		return nil
	})
	if err != nil {
		return nil
	}
	return bodies
}

func (q *queue) itemOf(ctx context.Context, e *entry, bodies map[int64]stored) (*postrider.Item, error) {
	q.mu.Lock()
	item := e.item
	q.release(e) // a second taker reads it from the file
	q.mu.Unlock()
	if item != nil {
		return item, nil
	}
	its, read := bodies[e.id]
	var err error
	if !read {
		err = q.db.read.QueryRowContext(ctx, "SELECT body, crc FROM queue WHERE id = ?", e.id).Scan(&its.body, &its.crc)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return q.unwritten(ctx, e)
	}
	if err != nil {
		return nil, fault("read the queue", err)
	}
	if !intact(its.body, its.crc) {
		return nil, q.db.damagedPayload("queue item", e.id)
	}
	item = &postrider.Item{Lane: e.lane}
	if e.lane == postrider.LaneOutcomes {
		item.Outcomes, err = wire.DecodeOutcomes(its.body)
	} else {
		item.Pack, err = wire.DecodePack(its.body)
	}
	if err != nil {
		return nil, postrider.Errorf(postrider.CodeMalformed, "queue item %d can't be read: %w", e.id, err)
	}
	return item, nil
}

// unwritten deals with an item that is not in the file: its group is still under way, or it was settled.
func (q *queue) unwritten(ctx context.Context, e *entry) (*postrider.Item, error) {
	q.mu.Lock()
	state := e.state
	q.mu.Unlock()
	if state == stateSettled {
		return nil, nil
	}
	if err := q.db.writer.do(ctx, func(*tx) error { return nil }); err != nil { // every group before this one is durable
		return nil, err
	}
	var there bool
	if err := q.db.read.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM queue WHERE id = ?)", e.id).Scan(&there); err != nil {
		return nil, fault("read the queue", err)
	}
	if there {
		return q.itemOf(ctx, e, nil)
	}
	return nil, nil
}
