package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/postrider/postrider"
)

// Expire removes old final deliveries, some in a group, then gives space back; see postrider.Archive. Events go with them,
// once they are that old and were read.
func (d *database) Expire(ctx context.Context, before time.Time) (int, error) {
	removed, tenant := 0, ""
	for {
		var err error
		if tenant, err = d.tenantAfter(ctx, tenant); err != nil {
			return removed, err
		}
		if tenant == "" {
			break
		}
		for n := expireStep; n == expireStep; removed += n {
			if n, err = d.expireSome(ctx, tenant, before); err != nil {
				return removed, err
			}
		}
	}
	if err := d.expireEvents(ctx, before); err != nil {
		return removed, err
	}
	return removed, d.shrink(ctx)
}

// tenantAfter is the next tenant that has deliveries, or "".
func (d *database) tenantAfter(ctx context.Context, tenant string) (string, error) {
	var next sql.NullString
	err := d.db.read.QueryRowContext(ctx, "SELECT min(tenant) FROM deliveries WHERE tenant > ?", tenant).Scan(&next)
	return next.String, fault("list tenants", err)
}

// expireSome removes some old and final deliveries of a tenant, and returns how many.
func (d *database) expireSome(ctx context.Context, tenant string, before time.Time) (int, error) {
	limit := postrider.FirstDeliveryID(before)
	var old [][]byte
	err := d.db.writer.do(ctx, func(t *tx) error {
		old = old[:0]
		err := t.query(`SELECT id FROM deliveries WHERE tenant = ? AND id < ? AND state IN ('delivered', 'exhausted', 'cancelled') LIMIT ?`,
			[]any{tenant, limit[:], expireStep}, func(rows *sql.Rows) error {
				var id []byte
				err := rows.Scan(&id)
				old = append(old, id)
				return err
			})
		for _, id := range old {
			if err == nil {
				err = t.exec("DELETE FROM attempts WHERE delivery = ?", id)
			}
			if err == nil {
				err = t.exec("DELETE FROM deliveries WHERE tenant = ? AND id = ?", tenant, id)
			}
		}
		return err
	})
	return len(old), err
}

// expireEvents removes old events and heads that no delivery needs: an event that is that old is past every retry window.
func (d *database) expireEvents(ctx context.Context, before time.Time) error {
	for {
		n := 0
		err := d.db.writer.do(ctx, func(t *tx) (err error) {
			n, err = d.expireSomeEvents(t, before.UnixMilli())
			return err
		})
		if err != nil || n == 0 {
			return err
		}
	}
}

func (d *database) expireSomeEvents(t *tx, before int64) (int, error) {
	d.db.events.mu.Lock()
	read := d.db.events.saved // only what was read, durably, may go
	d.db.events.mu.Unlock()
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
	if err != nil {
		return 0, err
	}
	n := 0
	for _, r := range old {
		if r.accepted >= before {
			break
		}
		if err := t.removeChunks(r.blob); err != nil {
			return 0, err
		}
		if err := t.exec("DELETE FROM events WHERE position = ?", r.position); err != nil {
			return 0, err
		}
		n++
	}
	heads, err := t.execCount(`DELETE FROM event_heads WHERE seq IN (SELECT seq FROM (SELECT seq, accepted_at FROM event_heads ORDER BY seq LIMIT ?)
		WHERE accepted_at < ? AND seq < (SELECT max(seq) FROM event_heads))`, expireStep, before) // the oldest only: a scan of all would hold up the writer
	return n + int(heads), err
}

// shrink gives free pages back to the file system, some in a group.
func (d *database) shrink(ctx context.Context) error {
	for {
		var free int64
		if err := d.db.read.QueryRowContext(ctx, "PRAGMA freelist_count").Scan(&free); err != nil {
			return fault("count free pages", err)
		}
		if free < 1000 {
			return nil
		}
		err := d.db.writer.do(ctx, func(t *tx) error {
			return t.query("PRAGMA incremental_vacuum(500)", nil, func(*sql.Rows) error { return nil })
		})
		if err != nil {
			return err
		}
		var left int64
		if err := d.db.read.QueryRowContext(ctx, "PRAGMA freelist_count").Scan(&left); err != nil || left >= free {
			return fault("count free pages", err)
		}
	}
}
