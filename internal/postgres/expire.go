package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider/postrider"
)

// expireStep is how many rows of the default partition go in one transaction.
const expireStep = 1000

// Expire removes what is old; see postrider.Archive. Rows of the default partition go one by one.
func (d *Database) Expire(ctx context.Context, before time.Time) (int, error) {
	defer d.metrics.time("expire")()
	removed := 0
	for n := expireStep; n == expireStep; removed += n {
		var err error
		if n, err = d.expireSome(ctx, before); err != nil {
			return removed, err
		}
	}
	for n := int64(expireStep); n == expireStep; {
		call, cancel := bounded(ctx, archiveTime)
		tag, err := d.pool.Exec(call, `DELETE FROM events_default WHERE ctid = ANY (ARRAY (SELECT ctid FROM events_default WHERE accepted_at < $1 LIMIT $2))`,
			before, expireStep)
		err = fault(call, "expire events", err)
		cancel()
		if err != nil {
			return removed, err
		}
		n = tag.RowsAffected()
	}
	return removed, nil
}

// expireSome removes some old and final deliveries of the default partition, and returns how many. What another process locks
// is left to it.
func (d *Database) expireSome(ctx context.Context, before time.Time) (int, error) {
	ctx, cancel := bounded(ctx, archiveTime)
	defer cancel()
	var ids [][16]byte
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `DELETE FROM deliveries_default WHERE ctid = ANY (ARRAY (SELECT ctid FROM deliveries_default
			WHERE id < $1 AND state IN ('delivered', 'exhausted', 'cancelled') LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING id`,
			[16]byte(postrider.FirstDeliveryID(before)), expireStep)
		if err != nil {
			return err
		}
		if ids, err = pgx.CollectRows(rows, pgx.RowTo[[16]byte]); err != nil || len(ids) == 0 {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM attempts_default WHERE delivery = ANY ($1)", ids)
		return err
	})
	return len(ids), fault(ctx, "expire deliveries", err)
}
