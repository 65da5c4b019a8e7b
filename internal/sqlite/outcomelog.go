package sqlite

import (
	"context"
	"database/sql"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/wire"
)

const (
	outcomeBatch   = 1000 // log entries a Next reads
	throughAdvance = time.Second
	throughMargin  = 2 * time.Second // an outcome may be that long on its way to the disk
)

// outcomes is a postrider.OutcomeLog that an archiver reads: a table with one partition.
type outcomes struct {
	db     *DB
	store  *store
	direct atomic.Bool // outcomes have been written straight into the tables

	mu      sync.Mutex
	arrived chan struct{} // closed and replaced when outcomes are durable
	reader  bool
	done    chan struct{}
	once    sync.Once
}

var _ postrider.OutcomeLog = (*outcomes)(nil)

func openOutcomes(ctx context.Context, db *DB) (*outcomes, error) {
	o := &outcomes{db: db, store: newStore(db), arrived: make(chan struct{}), done: make(chan struct{})}
	db.writer.always = append(db.writer.always, o.store.flush)
	var err error
	db.byTarget, err = openByTarget(ctx, db) // behind flush
	return o, err
}

// putLately is more items than are put into the queue in the time that a delivery has no row.
const putLately = 50_000

// restore makes rows of deliveries in the queue that were never attempted: before a crash those that were put lately may have
// had none.
func (o *outcomes) restore(ctx context.Context) error {
	rows, err := o.db.read.QueryContext(ctx, "SELECT body FROM queue WHERE lane <> ? AND id > (SELECT max(id) FROM queue) - ? ORDER BY id",
		int(postrider.LaneOutcomes), putLately)
	if err != nil {
		return fault("read the queue", err)
	}
	var batch []*postrider.Folded
	flush := func() error {
		list := batch
		batch = nil
		return o.db.writer.do(ctx, func(t *tx) error { return o.store.merge(t, list, asAny) })
	}
	err = each(rows, func(rows *sql.Rows) error {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return err
		}
		pack, err := wire.DecodePack(body)
		if err != nil {
			return nil //nolint:nilerr // whoever takes the item tells of it
		}
		for i := range pack.Deliveries {
			if pack.Deliveries[i].Attempts > 0 || pack.Deliveries[i].Generation > 0 {
				continue // it has a row
			}
			batch = append(batch, &postrider.Folded{Record: pendingRecord(pack.Tenant, &pack.Deliveries[i])})
		}
		if len(batch) >= 1000 {
			return flush()
		}
		return nil
	})
	if err == nil && len(batch) > 0 {
		err = flush()
	}
	return fault("read the queue", err)
}

// pendingRecord is what a delivery's fan-out would have recorded. Its time is the least, so that it replaces nothing.
func pendingRecord(tenant string, d *postrider.Delivery) postrider.DeliveryRecord {
	return postrider.DeliveryRecord{ID: d.ID, Tenant: tenant, Event: d.Event.Head(), TargetID: d.TargetID, Generation: d.Generation,
		Attempts: d.Attempts, State: postrider.StatePending, CreatedAt: d.Event.AcceptedAt, UpdatedAt: d.Event.AcceptedAt}
}

// directOutcomes writes straight into the tables.
type directOutcomes struct{ *outcomes }

// Record merges outcomes into the tables; see postrider.OutcomeLog.
func (o directOutcomes) Record(ctx context.Context, list []postrider.Outcome) (*postrider.Commit, error) {
	o.direct.Store(true)
	return o.db.writer.addLazily(ctx, 256*len(list), func(t *tx) error { return o.store.apply(t, list, true) }, nil)
}

// Reader returns nil: there is nothing to archive.
func (o directOutcomes) Reader(context.Context, func(context.Context, string) (postrider.Position, error)) (postrider.OutcomeReader, error) {
	o.direct.Store(true)
	return nil, nil
}

// Record adds outcomes to the log; see postrider.OutcomeLog.
func (o *outcomes) Record(ctx context.Context, list []postrider.Outcome) (*postrider.Commit, error) {
	if len(list) == 0 {
		return postrider.Committed(), nil
	}
	body := wire.AppendOutcomes(nil, list)
	return o.db.writer.addLazily(ctx, len(body), func(t *tx) error {
		t.onCommit(o.signal)
		return t.exec("INSERT INTO outcome_log (at, body) VALUES (?, ?)", o.db.clock().UnixMicro(), body)
	}, nil)
}

func (o *outcomes) signal() {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.arrived)
	o.arrived = make(chan struct{})
}

// Close does nothing: the file is the DB's.
func (o *outcomes) Close() error { return nil }

// stop ends the readers and makes rows of what has none yet.
func (o *outcomes) stop() error {
	o.once.Do(func() { close(o.done) })
	err := o.db.writer.do(o.db.writer.tx.ctx, func(*tx) error { o.store.last = true; return nil })
	o.store.timer.Stop()
	return err
}

// outcomeReader reads the one partition.
type outcomeReader struct {
	log    *outcomes
	after  int64
	told   time.Time
	closed chan struct{}
}

const outcomePartition = "0"

// Reader joins the group of archivers; see postrider.OutcomeLog.
func (o *outcomes) Reader(ctx context.Context, from func(context.Context, string) (postrider.Position, error)) (postrider.OutcomeReader, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.reader {
		return nil, postrider.Errorf(postrider.CodeConflict, "the outcome log has a reader already")
	}
	at, err := from(ctx, outcomePartition)
	if err != nil {
		return nil, err
	}
	r := &outcomeReader{log: o, closed: make(chan struct{})}
	if at != "" {
		if r.after, err = strconv.ParseInt(string(at), 10, 64); err != nil {
			return nil, postrider.Errorf(postrider.CodeInvalid, "the outcome log has no position %q", string(at))
		}
	}
	o.reader = true
	return r, nil
}

// Next returns the next outcomes; see postrider.OutcomeReader.
func (r *outcomeReader) Next(ctx context.Context) (*postrider.OutcomeBatch, error) {
	for {
		r.log.mu.Lock()
		arrived := r.log.arrived
		r.log.mu.Unlock()
		b, err := r.read(ctx)
		if err != nil || b != nil {
			return b, err
		}
		timer := time.NewTimer(throughAdvance)
		select {
		case <-arrived:
		case <-timer.C:
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-r.closed:
			err = postrider.Errorf(postrider.CodeGone, "the reader is closed")
		case <-r.log.done:
			err = postrider.Errorf(postrider.CodeGone, "the outcome log is closed")
		}
		timer.Stop()
		if err != nil {
			return nil, err
		}
	}
}

// read returns what the log has after the reader's position; with nothing there, that time has passed, once a second.
func (r *outcomeReader) read(ctx context.Context) (*postrider.OutcomeBatch, error) {
	now := r.log.db.clock()
	rows, err := r.log.db.read.QueryContext(ctx, "SELECT position, body FROM outcome_log WHERE position > ? ORDER BY position LIMIT ?", r.after, outcomeBatch)
	if err != nil {
		return nil, fault("read outcomes", err)
	}
	b := &postrider.OutcomeBatch{Partition: outcomePartition}
	n, last := 0, r.after
	err = each(rows, func(rows *sql.Rows) error {
		var body []byte
		if err := rows.Scan(&last, &body); err != nil {
			return err
		}
		n++
		list, err := wire.DecodeOutcomes(body)
		b.Outcomes = append(b.Outcomes, list...)
		return err
	})
	if err != nil {
		return nil, fault("read outcomes", err)
	}
	if n == 0 && now.Sub(r.told) < throughAdvance {
		return nil, nil
	}
	r.after = last
	b.End = position(last)
	if n < outcomeBatch { // all that was durable when we looked
		b.Through, r.told = now.Add(-throughMargin).UTC(), now
	} else if len(b.Outcomes) > 0 {
		b.Through = b.Outcomes[len(b.Outcomes)-1].At.Add(-throughMargin)
	}
	return b, nil
}

// Archived trims the log; see postrider.OutcomeReader.
func (r *outcomeReader) Archived(b *postrider.OutcomeBatch) {
	end, err := strconv.ParseInt(string(b.End), 10, 64)
	if err != nil || len(b.Outcomes) == 0 {
		return
	}
	_, _ = r.log.db.writer.addLazily(context.Background(), 0, func(t *tx) error {
		return t.exec("DELETE FROM outcome_log WHERE position <= ?", end)
	}, nil)
}

// Close leaves the group.
func (r *outcomeReader) Close() error {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	select {
	case <-r.closed:
	default:
		close(r.closed)
		r.log.reader = false
	}
	return nil
}
