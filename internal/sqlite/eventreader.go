package sqlite

import (
	"context"
	"time"

	"github.com/postrider/postrider"
)

const (
	batchEvents  = 256
	batchBytes   = 4 << 20
	positionAge  = 500 * time.Millisecond
	positionLead = 1000 // events
)

// eventReader reads the one partition.
type eventReader struct {
	log    *events
	next   int64
	closed chan struct{}
}

// Reader joins the group; as there is one partition, there is one reader at a time.
func (e *events) Reader(_ context.Context) (postrider.EventReader, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.reader != nil {
		return nil, postrider.Errorf(postrider.CodeConflict, "the events log has a reader already")
	}
	e.reader = &eventReader{log: e, next: e.committed, closed: make(chan struct{})}
	return e.reader, nil
}

// Next returns the next events; see postrider.EventReader.
func (r *eventReader) Next(ctx context.Context) (*postrider.EventBatch, error) {
	for {
		list, arrived, lag := r.recent()
		if lag > 0 {
			var err error
			if list, err = r.log.load(ctx, r.next, r.next+lag-1, batchEvents, batchBytes); err != nil {
				return nil, err
			}
			if len(list) == 0 { // a group that failed left a hole
				r.next += lag
				continue
			}
		}
		if len(list) > 0 {
			end := list[len(list)-1].Position
			n, err := parsePosition(end)
			if err != nil {
				return nil, err
			}
			r.next = n + 1
			return &postrider.EventBatch{Partition: "0", Events: list, End: end}, nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-r.closed:
			return nil, postrider.Errorf(postrider.CodeGone, "the reader is closed")
		case <-r.log.done:
			return nil, postrider.Errorf(postrider.CodeGone, "the events log is closed")
		}
	}
}

// recent returns what is at hand, or how far the reader is behind it.
func (r *eventReader) recent() (list []*postrider.Event, arrived chan struct{}, lag int64) {
	e := r.log
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.next < e.first && r.next < e.tail {
		return nil, nil, min(e.first, e.tail) - r.next
	}
	var bytes int64
	for i := r.next - e.first; i >= 0 && i < int64(len(e.recent)) && len(list) < batchEvents && bytes < batchBytes; i++ {
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
	e.mu.Unlock()
	if ahead >= positionLead {
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
