package sqlite

import (
	"context"
	"database/sql"
	"time"
)

const (
	loadStep  = 20_000 // rows read at once
	loadPause = time.Second
)

// load makes the items of the file known: some at once, the others beside what else goes on, so that a start does not wait
// for a queue of millions. They may be taken as soon as they are known.
func (q *queue) load(ctx context.Context) error {
	var last sql.NullInt64
	if err := q.db.read.QueryRowContext(ctx, "SELECT max(id) FROM queue").Scan(&last); err != nil {
		return fault("read the queue", err)
	}
	q.next = last.Int64 + 1
	l := &loader{queue: q, last: last.Int64, tenants: map[string]string{}}
	more, err := l.step(ctx)
	if err != nil || !more {
		return err
	}
	q.loading.Go(l.rest)
	return nil
}

// loader reads the file's items in the order of their ids.
type loader struct {
	*queue
	after, last int64
	tenants     map[string]string // one string a tenant
}

// rest loads what is left, until the queue is closed.
func (l *loader) rest() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	l.loading.Go(func() {
		select {
		case <-l.done:
			cancel()
		case <-ctx.Done():
		}
	})
	for more := true; more && ctx.Err() == nil; {
		var err error
		if more, err = l.step(ctx); err != nil {
			more = true
			l.db.log.Warn("items of the queue cannot be read; it is tried again", "error", err)
			select {
			case <-time.After(loadPause):
			case <-ctx.Done():
			}
		}
	}
}

// step loads some items, and reports whether there are more.
func (l *loader) step(ctx context.Context) (bool, error) {
	rows, err := l.db.read.QueryContext(ctx, "SELECT id, lane, tenant, due, weight FROM queue WHERE id > ? AND id <= ? ORDER BY id LIMIT ?", l.after, l.last, loadStep)
	if err != nil {
		return false, fault("read the queue", err)
	}
	list := make([]entry, 0, loadStep)
	err = each(rows, func(rows *sql.Rows) error {
		var tenant sql.RawBytes
		e := entry{state: stateWritten}
		if err := rows.Scan(&e.id, &e.lane, &tenant, &e.due, &e.weight); err != nil {
			return err
		}
		e.tenant = l.tenants[string(tenant)]
		if e.tenant == "" {
			e.tenant = string(tenant)
			l.tenants[e.tenant] = e.tenant
		}
		list = append(list, e)
		return nil
	})
	if err != nil {
		return false, fault("read the queue", err)
	}
	l.know(list)
	return len(list) == loadStep, nil
}

func (l *loader) know(list []entry) {
	now := l.db.clock().UnixMilli()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range list {
		e := &list[i]
		l.after = e.id
		switch {
		case int(e.lane) >= len(l.lanes):
		case e.due > now:
			l.lanes[e.lane].addCold(e)
		default:
			alone := *e // so that it does not keep the others
			l.lanes[e.lane].add(&alone, now)
		}
	}
}
