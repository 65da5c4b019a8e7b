package sqlite

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider"
)

const (
	recentBytes   = 32 << 20 // events kept for the reader after they were committed
	recentEvents  = 16 << 10
	eventOverhead = 256
	maxEventBytes = 64 << 20
)

// events is a postrider.EventLog of one partition. Its group reads the events of one tenant in order, and tenants take turns.
type events struct {
	db   *DB
	next int64 // position of the next event; used by the writer only

	mu      sync.Mutex
	recent  []*postrider.Event // durable, consecutive, up to tail
	first   int64              // position of recent[0]
	tail    int64              // position after the last durable event
	bytes   int64
	changed chan struct{} // closed and replaced when there is more to read, or more room to read it
	reader  *eventReader
	done    chan struct{} // closed by stop
	stopped bool

	from    progress // where the next reader begins
	undone  undone
	inHand  []*handed // batches, in the order in which they were handed out
	given   int64     // events handed out, since the log was opened
	dealt   int64     // of them, those that are done
	kept    int64     // of them, those that are behind the saved position
	saved   progress  // the group's position as it is in the file
	savedAt time.Time
	hasty   bool // Next waits until that moves
	timer   *time.Timer
}

var (
	_ postrider.EventLog    = (*events)(nil)
	_ postrider.EventFinder = (*events)(nil)
)

func openEvents(ctx context.Context, db *DB) (*events, error) {
	e := &events{db: db, changed: make(chan struct{}), done: make(chan struct{})}
	var last sql.NullInt64
	if err := db.read.QueryRowContext(ctx, "SELECT max(position) FROM events").Scan(&last); err != nil {
		return nil, fault("read events", err)
	}
	var err error
	if e.saved, err = loadProgress(ctx, db.read); err != nil {
		return nil, err
	}
	e.from = e.saved
	e.next = max(last.Int64+1, e.saved.after) // positions are not used again, though their events are gone
	e.undone = newUndone(e.from.least())
	e.first, e.tail = e.next, e.next
	e.timer = time.AfterFunc(time.Hour, db.writer.nudge)
	e.timer.Stop()
	db.writer.always = append(db.writer.always, e.savePosition)
	return e, nil
}

// Limits tells that an event may have what fits into chunks, and that a read costs what a fetch costs.
func (e *events) Limits() postrider.EventLimits {
	return postrider.EventLimits{MaxBytes: maxEventBytes, CheapRead: true}
}

// Append adds events; see postrider.EventLog.
func (e *events) Append(ctx context.Context, list []*postrider.Event) (*postrider.Commit, error) {
	if err := e.db.writer.stuck(); err != nil { // what waits for a disk that hangs holds memory, and its caller
		return nil, err
	}
	bytes, blobs, crcs := 0, make([]int64, len(list)), make([]int64, len(list))
	for i, event := range list {
		if event.Payload.Size > maxEventBytes {
			return nil, postrider.Errorf(postrider.CodeTooLarge, "event %d has %d bytes; the log takes %d", i, event.Payload.Size, maxEventBytes)
		}
	}
	for i, event := range list {
		crcs[i] = checksum(event.Payload.Bytes)
		if len(event.Payload.Bytes) <= inRow {
			bytes += len(event.Payload.Bytes) + eventOverhead
			continue
		}
		blob, err := e.db.chunks.write(ctx, event.Payload.Bytes)
		if err != nil {
			e.db.chunks.abandon(blobs...)
			return nil, err
		}
		blobs[i] = blob
	}
	abandon := func() { e.db.chunks.abandon(blobs...) }
	commit, err := e.db.writer.add(ctx, bytes, func(t *tx) error { return e.insert(t, list, blobs, crcs) }, abandon)
	if err != nil {
		abandon()
	}
	return commit, err
}

// A statement inserts one event or eventRows.
const (
	eventValues = 12
	eventRows   = 8
	oneEvent    = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	insertEvent = "INSERT INTO events (position, id_hash, tenant, id, type, content_type, accepted_at, trace, size, blob, payload, crc) VALUES " + oneEvent
)

var insertEvents = insertEvent + strings.Repeat(", "+oneEvent, eventRows-1)

func (e *events) insert(t *tx, list []*postrider.Event, blobs, crcs []int64) error {
	now := e.db.clock()
	values := make([]any, 0, eventRows*eventValues)
	for i := 0; i < len(list); {
		rows, query := 1, insertEvent
		if len(list)-i >= eventRows {
			rows, query = eventRows, insertEvents
		}
		values = values[:0]
		for ; rows > 0; rows-- {
			values = e.row(values, list[i], blobs[i], crcs[i], now)
			if err := t.keepChunks(blobs[i]); err != nil {
				return err
			}
			i++
		}
		if err := t.exec(query, values...); err != nil {
			return err
		}
	}
	end := e.next
	t.onCommit(func() { e.arrive(list, end) })
	return nil
}

// row appends the values of an event's row, which is next, and completes the event.
func (e *events) row(values []any, event *postrider.Event, blob, crc int64, now time.Time) []any {
	if event.AcceptedAt.IsZero() {
		event.AcceptedAt = now
	}
	event.AcceptedAt = event.AcceptedAt.UTC().Truncate(time.Millisecond)
	event.Position = position(e.next)
	event.Payload.Log, event.Payload.Size = true, int64(len(event.Payload.Bytes))
	payload := event.Payload.Bytes
	if blob != 0 {
		payload = nil
	}
	e.next++
	return append(values, e.next-1, idKey(event.Tenant, event.ID), event.Tenant, event.ID, event.Type, event.ContentType,
		event.AcceptedAt.UnixMilli(), event.Trace, event.Payload.Size, blob, payload, crc)
}

// arrive hands durable events to the reader's memory. What is over its bounds is read from the file.
func (e *events) arrive(list []*postrider.Event, end int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	start := end - int64(len(list))
	known := e.reader != nil && e.undone.end >= e.tail && e.undone.unread < mostUnread
	if start != e.tail { // a group that failed left a hole
		e.recent, e.bytes, e.first = nil, 0, start
	}
	for i, event := range list {
		copied := *event
		e.recent = append(e.recent, &copied)
		e.bytes += copied.Payload.Size + eventOverhead
		if known {
			e.undone.add(event.Tenant, start+int64(i))
		}
	}
	e.tail = end
	for len(e.recent) > recentEvents || e.bytes > recentBytes && len(e.recent) > 0 {
		e.dropFirst()
	}
	e.signal()
}

func (e *events) signal() {
	close(e.changed)
	e.changed = make(chan struct{})
}

func (e *events) dropFirst() {
	e.bytes -= e.recent[0].Payload.Size + eventOverhead
	e.recent[0] = nil
	e.recent = e.recent[1:]
	e.first++
}

// savePosition writes the group's position with whatever is written anyway.
func (e *events) savePosition(t *tx) error {
	e.mu.Lock()
	dealt, saved := e.dealt, e.saved
	if dealt == e.kept || e.maySaveLater() {
		e.mu.Unlock()
		return nil
	}
	now := e.undone.progress()
	e.mu.Unlock()
	if err := now.save(t, &saved); err != nil {
		return err
	}
	t.onCommit(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.saved, e.kept, e.savedAt = now, dealt, time.Now()
		e.signal()
	})
	return nil
}

// maySaveLater reports whether the position need not be saved yet, and costs something: it tells of each tenant that is behind.
func (e *events) maySaveLater() bool {
	return e.reader != nil && !e.hasty && len(e.undone.tenants) > manyTenants && e.dealt-e.kept < positionLead && time.Since(e.savedAt) < positionAge
}

// Read returns one event; see postrider.EventLog.
func (e *events) Read(ctx context.Context, at postrider.Position) (*postrider.Event, error) {
	n, err := parsePosition(at)
	if err != nil {
		return nil, err
	}
	if event := e.fromRecent(n); event != nil && event.Payload.InHand() {
		return event, nil
	}
	rows, err := e.db.often.query(ctx, "SELECT "+eventColumns+", blob, payload, crc FROM events WHERE position = ?", n)
	if err != nil {
		return nil, fault("read an event", err)
	}
	list, err := e.loaded(ctx, rows, maxEventBytes)
	switch {
	case err != nil:
		return nil, err
	case len(list) == 0:
		return nil, e.absent(at, n)
	case !list[0].Payload.InHand():
		return nil, e.db.damagedPayload("event", list[0].Position)
	}
	return list[0], nil
}

func (e *events) absent(at postrider.Position, n int64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n < e.tail {
		return postrider.Errorf(postrider.CodeGone, "the event at %s is past the log's retention", at)
	}
	return postrider.Errorf(postrider.CodeNotFound, "the log has no position %s", at)
}

func (e *events) fromRecent(n int64) *postrider.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n < e.first || n >= e.tail || n-e.first >= int64(len(e.recent)) {
		return nil
	}
	copied := *e.recent[n-e.first]
	return &copied
}

// ReadRange returns events in order; see postrider.EventLog.
func (e *events) ReadRange(ctx context.Context, first, last postrider.Position, limit int) ([]*postrider.Event, error) {
	from, err := parsePosition(first)
	if err != nil {
		return nil, err
	}
	to, err := parsePosition(last)
	if err != nil {
		return nil, err
	}
	return e.load(ctx, from, to, limit, maxEventBytes)
}

// Find returns the newest event with an id; see postrider.EventFinder.
func (e *events) Find(ctx context.Context, tenant, id string) (*postrider.Event, error) {
	rows, err := e.db.lists.QueryContext(ctx, "SELECT "+eventColumns+", 0, NULL, NULL FROM events WHERE id_hash IN (?1, ?2) AND tenant = ?3 AND id = ?4 ORDER BY position DESC LIMIT 1",
		idKey(tenant, id), idHash(tenant, id), tenant, id)
	if err != nil {
		return nil, fault("find an event", err)
	}
	list, _, err := scanEvents(rows)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, postrider.Errorf(postrider.CodeNotFound, "there is no event %q", id)
	}
	return list[0], nil
}

// hasRecent reports whether an event is durable and still in memory.
func (e *events) hasRecent(n int64, tenant, id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := n - e.first
	return i >= 0 && i < int64(len(e.recent)) && e.recent[i].ID == id && e.recent[i].Tenant == tenant
}

// fannedOut is the position after the last event of a tenant whose fan-out is recorded, as those before it are.
func (e *events) fannedOut(tenant string) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.undone.fannedOut(tenant)
}

const eventColumns = "position, tenant, id, type, content_type, accepted_at, trace, size"

// load reads events from the file. Payloads in chunks are read up to a number of bytes; the others, and those that are damaged, are left
// to be read by position.
func (e *events) load(ctx context.Context, first, last int64, limit int, room int64) ([]*postrider.Event, error) {
	rows, err := e.db.read.QueryContext(ctx, "SELECT "+eventColumns+", blob, payload, crc FROM events WHERE position >= ? AND position <= ? ORDER BY position LIMIT ?", first, last, limit)
	if err != nil {
		return nil, fault("read events", err)
	}
	return e.loaded(ctx, rows, room)
}

// loaded reads the events that a query has found, and their payloads in chunks; see load.
func (e *events) loaded(ctx context.Context, rows *sql.Rows, room int64) ([]*postrider.Event, error) {
	list, blobs, err := scanEvents(rows)
	if err == nil {
		err = e.readChunks(ctx, list, blobs, room)
	}
	if err != nil {
		return nil, err
	}
	return list, nil
}

func (e *events) readChunks(ctx context.Context, list []*postrider.Event, blobs []blob, room int64) error {
	for i, blob := range blobs {
		p := &list[i].Payload
		if blob.number == 0 || p.Size > room {
			continue
		}
		bytes, err := e.db.chunks.read(ctx, blob.number, p.Size)
		if postrider.CodeOf(err) == postrider.CodeNotFound { // a part is missing: as one that is damaged
			continue
		}
		if err != nil {
			return err
		}
		if intact(bytes, blob.crc) {
			p.Bytes = bytes
		}
		room -= p.Size
	}
	return nil
}

// blob is where an event's payload is.
type blob struct {
	number int64 // of chunks; 0: in the row
	crc    sql.NullInt64
}

func scanEvents(rows *sql.Rows) (list []*postrider.Event, blobs []blob, err error) {
	err = each(rows, func(rows *sql.Rows) error {
		event := &postrider.Event{Payload: postrider.Payload{Log: true}}
		var at, accepted int64
		var its blob
		var payload []byte
		if err := rows.Scan(&at, &event.Tenant, &event.ID, &event.Type, &event.ContentType, &accepted, &event.Trace, &event.Payload.Size, &its.number, &payload, &its.crc); err != nil {
			return err
		}
		event.Position, event.AcceptedAt = position(at), time.UnixMilli(accepted).UTC()
		if payload == nil {
			payload = []byte{}
		}
		if its.number == 0 && intact(payload, its.crc) {
			event.Payload.Bytes = payload
		}
		list, blobs = append(list, event), append(blobs, its)
		return nil
	})
	return list, blobs, fault("read events", err)
}

// Close ends the reader. The file stays open.
func (e *events) Close() error {
	e.mu.Lock()
	r := e.reader
	e.mu.Unlock()
	if r != nil {
		return r.Close()
	}
	return nil
}

func (e *events) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.timer.Stop()
	if !e.stopped {
		e.stopped = true
		close(e.done)
	}
}

func position(n int64) postrider.Position { return postrider.Position(strconv.FormatInt(n, 10)) }

func parsePosition(p postrider.Position) (int64, error) {
	n, err := strconv.ParseInt(string(p), 10, 64)
	if err != nil || n < 1 || position(n) != p {
		return 0, postrider.Errorf(postrider.CodeNotFound, "the log has no position %q", string(p))
	}
	return n, nil
}
