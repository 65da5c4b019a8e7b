package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
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

// Tenants take turns among the events that are known. More than so many unread ones are not remembered: later ones wait until there are
// fewer, whosever they are.
const (
	mostUnread = 1 << 20
	lookStep   = 64 << 10 // read at a time of what was there before the reader

	manyTenants = 64
)

// eventReader reads the one partition.
type eventReader struct {
	log    *events
	closed chan struct{}
}

// Reader joins the group; as there is one partition, there is one reader at a time.
func (e *events) Reader(ctx context.Context) (postrider.EventReader, error) {
	r := &eventReader{log: e, closed: make(chan struct{})}
	e.mu.Lock()
	if e.reader != nil {
		e.mu.Unlock()
		return nil, postrider.Errorf(postrider.CodeConflict, "the events log has a reader already")
	}
	e.reader = r
	from := e.from
	e.mu.Unlock()
	marks, err := e.marks(ctx, from.least(), from.after, -1)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		e.reader = nil
		return nil, err
	}
	e.undone, e.inHand, e.given = newUndone(from.least()), nil, e.dealt
	for _, m := range marks {
		if !from.done(m.tenant, m.at) {
			e.undone.add(m.tenant, m.at)
		}
	}
	e.undone.end, e.undone.reached = from.after, from.after
	return r, nil
}

// mark is where a tenant has an event.
type mark struct {
	at     int64
	tenant string
}

// marks reads where events are.
func (e *events) marks(ctx context.Context, from, before int64, limit int) (list []mark, err error) {
	if from >= before {
		return nil, nil
	}
	rows, err := e.db.read.QueryContext(ctx, "SELECT position, tenant FROM events WHERE position >= ? AND position < ? ORDER BY position LIMIT ?", from, before, limit)
	if err != nil {
		return nil, fault("read events", err)
	}
	err = each(rows, func(rows *sql.Rows) error {
		var m mark
		if err := rows.Scan(&m.at, &m.tenant); err != nil {
			return err
		}
		list = append(list, m)
		return nil
	})
	return list, fault("read events", err)
}

// look learns of events that came before they could be noted.
func (e *events) look(ctx context.Context) error {
	e.mu.Lock()
	from, before := e.undone.end, e.tail
	full := e.undone.unread >= mostUnread
	e.mu.Unlock()
	if from >= before || full {
		return nil
	}
	marks, err := e.marks(ctx, from, before, lookStep)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range marks {
		e.undone.add(m.tenant, m.at)
	}
	if len(marks) < lookStep {
		e.undone.end = before
	}
	return nil
}

// Next returns the next events; see postrider.EventReader. It waits while a crash would have enough read again.
func (r *eventReader) Next(ctx context.Context) (*postrider.EventBatch, error) {
	e := r.log
	for {
		room, err := r.awaitSaved(ctx)
		if err != nil {
			return nil, err
		}
		e.mu.Lock()
		changed := e.changed
		e.mu.Unlock()
		if err := e.look(ctx); err != nil {
			return nil, err
		}
		list, h, err := e.gather(ctx, room)
		switch {
		case len(list) > 0:
			return &postrider.EventBatch{Partition: "0", Events: list, End: position(h.end), Unordered: true}, nil
		case h.events > 0: // they are gone
			e.deal(h.end) //nolint:contextcheck // what it has written is for all
			continue
		case err != nil:
			return nil, err
		}
		if err := r.wait(ctx, changed, nil); err != nil {
			return nil, err
		}
	}
}

// gather takes the events whose turn it is, within the room that there is, and says what it took. With an error it took what it could.
func (e *events) gather(ctx context.Context, room int) (list []*postrider.Event, h *handed, err error) {
	list, h, absent := e.take(room)
	if len(absent) > 0 {
		var loaded []*postrider.Event
		if loaded, err = e.loadRuns(ctx, absent); err != nil {
			e.putBack(h, absent) // others come first then
		}
		list = append(loaded, list...) // a tenant's later ones are those in memory
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.trim()
	if h.events > 0 {
		e.inHand = append(e.inHand, h)
		e.given += int64(h.events)
	}
	return list, h, err
}

// taken is a run of a tenant's.
type taken struct {
	of  *backlog
	its run
}

// take takes events for a batch, and returns those that are in memory.
func (e *events) take(room int) (list []*postrider.Event, h *handed, absent []taken) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h = &handed{}
	for bytes := int64(0); h.events < min(room, batchEvents) && bytes < batchBytes; {
		b, its := e.undone.take(h, room-h.events)
		if b == nil {
			break
		}
		if its.first < e.first {
			absent = append(absent, taken{b, its})
			h.end = max(h.end, its.after-1)
			continue
		}
		for at := its.first; at < its.after; at++ {
			if bytes >= batchBytes {
				e.undone.putBack(h, b, run{at, its.after})
				its.after = at
				break
			}
			copied := *e.recent[at-e.first]
			list = append(list, &copied)
			bytes += copied.Payload.Size
		}
		h.end = max(h.end, its.after-1)
	}
	return list, h, absent
}

// loadRuns reads events from the file, those of a tenant in order.
func (e *events) loadRuns(ctx context.Context, runs []taken) ([]*postrider.Event, error) {
	if len(runs) == 1 {
		its := runs[0].its
		return e.load(ctx, its.first, its.after-1, its.len(), batchBytes)
	}
	list := []byte{'['}
	for _, r := range runs {
		for at := r.its.first; at < r.its.after; at++ {
			list = append(strconv.AppendInt(list, at, 10), ',')
		}
	}
	list[len(list)-1] = ']'
	rows, err := e.db.often.query(ctx, "SELECT "+eventColumns+", blob, payload, crc FROM events WHERE position IN (SELECT value FROM json_each(?)) ORDER BY position", string(list))
	if err != nil {
		return nil, fault("read events", err)
	}
	return e.loaded(ctx, rows, batchBytes)
}

func (e *events) putBack(h *handed, runs []taken) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range slices.Backward(runs) {
		e.undone.putBack(h, r.of, r.its)
	}
}

// trim drops what was handed out from memory: it is kept no longer than others want it.
func (e *events) trim() {
	if e.bytes < recentBytes/2 && len(e.recent) < recentEvents/2 {
		return
	}
	for oldest := e.undone.oldest(); len(e.recent) > 0 && e.first < oldest && (e.bytes >= recentBytes/2 || len(e.recent) >= recentEvents/2); {
		e.dropFirst()
	}
}

// awaitSaved waits until a batch may be handed out, and returns for how many events there is room. Who waits has the position saved as
// soon as it moves.
func (r *eventReader) awaitSaved(ctx context.Context) (room int, err error) {
	e := r.log
	var again *time.Timer
	for {
		e.mu.Lock()
		unsaved := e.given - e.kept
		changed, behind := e.changed, e.dealt > e.kept
		e.hasty = unsaved >= maxUnsaved
		e.mu.Unlock()
		if unsaved < maxUnsaved {
			return int(maxUnsaved - unsaved), nil
		}
		if behind {
			e.db.writer.nudge() //nolint:contextcheck // what it writes is for all
		}
		if again == nil {
			again = time.NewTimer(positionAge)
			defer again.Stop()
		} else {
			again.Reset(positionAge)
		}
		if err := r.wait(ctx, changed, again.C); err != nil { // the group that has the position may fail: then another is due
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

// Commit moves the position; see postrider.EventReader. It is written with the next group, or soon by one of its own.
func (r *eventReader) Commit(b *postrider.EventBatch) {
	end, err := parsePosition(b.End)
	if err != nil {
		return
	}
	r.log.mu.Lock()
	mine := r.log.reader == r
	r.log.mu.Unlock()
	if mine {
		r.log.deal(end)
	}
}

// deal notes that the batch with an end is done.
func (e *events) deal(end int64) {
	e.mu.Lock()
	if n := slices.IndexFunc(e.inHand, func(h *handed) bool { return h.end == end }); n >= 0 {
		h := e.inHand[n]
		e.inHand = slices.Delete(e.inHand, n, n+1)
		e.undone.done(h)
		e.dealt += int64(h.events)
		e.signal()
	}
	ahead := e.dealt - e.kept
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
	e.from = e.undone.progress()
	close(r.closed)
	e.mu.Unlock()
	return e.db.writer.do(context.Background(), func(*tx) error { return nil })
}
