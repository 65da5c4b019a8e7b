package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/postrider/postrider"
)

// Expire removes old final deliveries, some in a group, then gives space back; see postrider.Archive.
func (d *database) Expire(ctx context.Context, before time.Time) (int, error) {
	removed, tenant := 0, ""
	if err := d.db.byTarget.settle(ctx); err != nil { // what goes must not come into the index later
		return 0, err
	}
	for {
		var err error
		if tenant, err = d.tenantAfter(ctx, tenant); err != nil {
			return removed, err
		}
		if tenant == "" {
			break
		}
		for found, n := expireStep, 1; found == expireStep && n > 0; removed += n {
			if found, n, err = d.expireSome(ctx, tenant, before); err != nil {
				return removed, err
			}
		}
	}
	if err := d.expireHeads(ctx, before); err != nil {
		return removed, err
	}
	return removed, d.db.shrink(ctx)
}

// tenantAfter is the next tenant that has deliveries, or "".
func (d *database) tenantAfter(ctx context.Context, tenant string) (string, error) {
	var next sql.NullString
	err := d.db.read.QueryRowContext(ctx, "SELECT min(tenant) FROM deliveries WHERE tenant > ?", tenant).Scan(&next)
	return next.String, fault("list tenants", err)
}

// expireSome removes some old and final deliveries of a tenant, and returns how many it found and removed. What was stored just now, on its
// way into the index by target, is left to the next time.
func (d *database) expireSome(ctx context.Context, tenant string, before time.Time) (found, removed int, err error) {
	limit := postrider.FirstDeliveryID(before)
	var old []targeted
	err = d.db.writer.do(ctx, func(t *tx) error {
		old = old[:0]
		err := t.query(`SELECT target_id, id FROM deliveries WHERE tenant = ? AND id < ? AND state IN ('delivered', 'exhausted', 'cancelled') LIMIT ?`,
			[]any{tenant, limit[:], expireStep}, func(rows *sql.Rows) error {
				var x targeted
				var id []byte
				err := rows.Scan(&x.target, &id)
				copy(x.id[:], id)
				old = append(old, x)
				return err
			})
		found = len(old)
		waits := d.db.byTarget.waits(t)
		old = slices.DeleteFunc(old, func(x targeted) bool { _, there := waits[x]; return there })
		for i := range old {
			if err == nil {
				err = t.removeDelivery(tenant, &old[i])
			}
		}
		return err
	})
	return found, len(old), err
}

func (t *tx) removeDelivery(tenant string, x *targeted) error {
	for _, s := range []struct {
		query string
		args  []any
	}{
		{"DELETE FROM attempts WHERE delivery = ?", []any{x.id[:]}},
		{"DELETE FROM target_deliveries WHERE target_id = ? AND id = ?", []any{x.target, x.id[:]}},
		{"DELETE FROM deliveries WHERE tenant = ? AND id = ?", []any{tenant, x.id[:]}},
	} {
		if err := t.exec(s.query, s.args...); err != nil {
			return err
		}
	}
	return nil
}

// expireHeads removes what is shown of old events.
func (d *database) expireHeads(ctx context.Context, before time.Time) error {
	_, err := d.db.inSteps(ctx, func(t *tx) (int, error) {
		n, err := t.execCount(`DELETE FROM event_heads WHERE seq IN (SELECT seq FROM (SELECT seq, accepted_at FROM event_heads ORDER BY seq LIMIT ?)
			WHERE accepted_at < ? AND seq < (SELECT max(seq) FROM event_heads))`, expireStep, before.UnixMilli()) // the oldest only: a scan of all would hold up the writer
		return int(n), err
	})
	return err
}

// Expire removes old events that were read, some in a group, then gives space back; see postrider.EventLog.
func (e *events) Expire(ctx context.Context, before time.Time) (int, error) {
	removed, err := e.db.inSteps(ctx, func(t *tx) (int, error) { return e.expireSome(t, before.UnixMilli()) })
	if err != nil {
		return removed, err
	}
	return removed, e.db.shrink(ctx)
}

func (e *events) expireSome(t *tx, before int64) (int, error) {
	e.mu.Lock()
	read := e.saved.least() // only what was read, durably, may go
	e.mu.Unlock()
	type row struct{ position, blob, accepted int64 }
	var old []row
	err := t.query("SELECT position, blob, accepted_at FROM events WHERE position < ? ORDER BY position LIMIT ?", []any{read, expireStep}, func(rows *sql.Rows) error {
		var r row
		if err := rows.Scan(&r.position, &r.blob, &r.accepted); err != nil {
			return err
		}
		old = append(old, r)
		return nil
	})
	n := 0
	for _, r := range old {
		if err != nil || r.accepted >= before {
			break
		}
		if err = t.removeChunks(r.blob); err == nil {
			err = t.exec("DELETE FROM events WHERE position = ?", r.position)
			n++
		}
	}
	return n, err
}

// inSteps calls remove in one group after the other until it removes nothing, and returns how many it removed in all.
func (db *DB) inSteps(ctx context.Context, remove func(*tx) (int, error)) (int, error) {
	for removed := 0; ; {
		n := 0
		err := db.writer.do(ctx, func(t *tx) (err error) {
			n, err = remove(t)
			return err
		})
		if err != nil || n == 0 {
			return removed, err
		}
		removed += n
	}
}

// shrink gives free pages back to the file system, some in a group.
func (db *DB) shrink(ctx context.Context) error {
	for {
		var free int64
		if err := db.read.QueryRowContext(ctx, "PRAGMA freelist_count").Scan(&free); err != nil {
			return fault("count free pages", err)
		}
		if free < 1000 {
			return nil
		}
		err := db.writer.do(ctx, func(t *tx) error {
			return t.query("PRAGMA incremental_vacuum(500)", nil, func(*sql.Rows) error { return nil })
		})
		if err != nil {
			return err
		}
		var left int64
		if err := db.read.QueryRowContext(ctx, "PRAGMA freelist_count").Scan(&left); err != nil || left >= free {
			return fault("count free pages", err)
		}
	}
}
