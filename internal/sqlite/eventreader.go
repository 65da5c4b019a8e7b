package sqlite

import (
	"context"
	"time"

	"github.com/postrider/postrider"
)

// What is handed out and not behind the saved position is read again after a crash: maxUnsaved bounds it. A position that is this much or
// this long ahead of the saved one is saved though nothing else is written.
const (
	batchEvents  = 256
	batchBytes   = 4 << 20
	maxUnsaved   = 1000 // events
	positionAge  = 500 * time.Millisecond
	positionLead = maxUnsaved / 4
)

// eventReader reads the one partition.
type eventReader struct {
	log    *events
	next   int64
	handed int64 // the position after the last event that was handed out
	closed chan struct{}
}

// Reader joins the group; as there is one partition, there is one reader at a time.
func (e *events) Reader(_ context.Context) (postrider.EventReader, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.reader != nil {
		return nil, postrider.Errorf(postrider.CodeConflict, "the events log has a reader already")
	}
	e.reader = &eventReader{log: e, next: e.committed, handed: e.committed, closed: make(chan struct{})}
	return e.reader, nil
}

// Next returns the next events; see postrider.EventReader. It waits while a crash would have enough read again.
func (r *eventReader) Next(ctx context.Context) (*postrider.EventBatch, error) {
	for {
		room, err := r.awaitSaved(ctx)
		if err != nil {
			return nil, err
		}
		list, arrived, lag := r.recent(room)
		if lag > 0 {
			if list, err = r.log.load(ctx, r.next, r.next+lag-1, room, batchBytes); err != nil {
				return nil, err
			}
			if len(list) == 0 { // a group that failed left a hole
				r.next += lag
				continue
			}
		}
		if len(list) > 0 {
			return r.hand(list)
		}
		if err := r.wait(ctx, arrived, nil); err != nil {
			return nil, err
		}
	}
}

// hand makes the next batch of events.
func (r *eventReader) hand(list []*postrider.Event) (*postrider.EventBatch, error) {
	end := list[len(list)-1].Position
	n, err := parsePosition(end)
	if err != nil {
		return nil, err
	}
	r.next, r.handed = n+1, n+1
	return &postrider.EventBatch{Partition: "0", Events: list, End: end}, nil
}

// awaitSaved waits until a batch may be handed out, and returns how many events it may have. Who waits has the position saved as
// soon as it moves.
func (r *eventReader) awaitSaved(ctx context.Context) (room int, err error) {
	e := r.log
	var again *time.Timer
	for {
		e.mu.Lock()
		unsaved := r.handed - e.saved // a hole among them counts until what comes after it is saved
		moved, behind := e.moved, e.committed > e.saved
		e.hasty = unsaved >= maxUnsaved
		e.mu.Unlock()
		if unsaved < maxUnsaved {
			return min(batchEvents, int(maxUnsaved-unsaved)), nil
		}
		if behind {
			e.db.writer.nudge() //nolint:contextcheck // what it writes is everybody's
		}
		if again == nil {
			again = time.NewTimer(positionAge)
			defer again.Stop()
		} else {
			again.Reset(positionAge)
		}
		if err := r.wait(ctx, moved, again.C); err != nil { // the group that has the position may fail: then another is due
			return 0, err
		}
	}
}

// wait waits until something happens, or for the error that ends the reading.
func (r *eventReader) wait(ctx context.Context, happened <-chan struct{}, late <-chan time.Time) error {
	select {
	case <-happened:
		return nil
	case <-late:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-r.closed:
		return postrider.Errorf(postrider.CodeGone, "the reader is closed")
	case <-r.log.done:
		return postrider.Errorf(postrider.CodeGone, "the events log is closed")
	}
}

// recent returns what is at hand, up to a number of events, or how far the reader is behind it.
func (r *eventReader) recent(room int) (list []*postrider.Event, arrived chan struct{}, lag int64) {
	e := r.log
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.next < e.first && r.next < e.tail {
		return nil, nil, min(e.first, e.tail) - r.next
	}
	var bytes int64
	for i := r.next - e.first; i >= 0 && i < int64(len(e.recent)) && len(list) < room && bytes < batchBytes; i++ {
		copied := *e.recent[i]
		list = append(list, &copied)
		bytes += copied.Payload.Size
	}
	for len(list) > 0 && len(e.recent) > 0 && e.first < r.next+int64(len(list)) { // handed out: kept no longer than others want it
		if e.bytes < recentBytes/2 && len(e.recent) < recentEvents/2 {
			break
		}
		e.dropFirst()
	}
	return list, e.arrived, 0
}

// Commit moves the position; see postrider.EventReader. It is written with the next group, or soon by one of its own.
func (r *eventReader) Commit(b *postrider.EventBatch) {
	n, err := parsePosition(b.End)
	if err != nil {
		return
	}
	e := r.log
	e.mu.Lock()
	if e.reader != r {
		e.mu.Unlock()
		return
	}
	e.committed = max(e.committed, n+1)
	ahead := e.committed - e.saved
	if ahead > 0 && !e.stopped {
		e.timer.Reset(positionAge)
	}
	hasty := e.hasty && ahead > 0
	e.mu.Unlock()
	if hasty || ahead >= positionLead {
		e.db.writer.nudge()
	}
}

// Close makes the position durable and leaves the group.
func (r *eventReader) Close() error {
	e := r.log
	e.mu.Lock()
	if e.reader != r {
		e.mu.Unlock()
		return nil
	}
	e.reader = nil
	close(r.closed)
	e.mu.Unlock()
	return e.db.writer.do(context.Background(), func(*tx) error { return nil })
}
