package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider/postrider"
)

// expireStep is how many rows of the default partition go in one transaction.
const expireStep = 1000

// Expire removes what is old; see postrider.Archive. Days that are over before the limit go whole, so something may stay for a day
// longer; rows of the default partition go one by one. Of the days' deliveries the number is the server's estimate.
func (d *Database) Expire(ctx context.Context, before time.Time) (int, error) {
	defer d.metrics.time("expire")()
	removed, err := d.dropDays(ctx, before)
	if err != nil {
		return removed, err
	}
	for n := expireStep; n == expireStep; removed += n {
		if n, err = d.expireSome(ctx, before); err != nil {
			return removed, err
		}
	}
	for n := int64(expireStep); n == expireStep; {
		call, cancel := bounded(ctx, archiveTime)
		tag, err := d.pool.Exec(call, expireEvents, before, expireStep)
		err = fault(call, "expire events", err)
		cancel()
		if err != nil {
			return removed, err
		}
		n = tag.RowsAffected()
	}
	return removed, nil
}

// expireEvents removes some old events that have no delivery left. The least and the greatest id of a delivery of an event begin with
// its time.
var expireEvents = `DELETE FROM events_default WHERE ctid = ANY (ARRAY (SELECT e.ctid FROM events_default e WHERE e.accepted_at < $1
	AND NOT EXISTS (SELECT 1 FROM deliveries_default d WHERE d.tenant = e.tenant AND d.event_id = e.id AND d.id >= ` + idOf("0") + ` AND d.id <= ` + idOf("f") + `) LIMIT $2))`

func idOf(digit string) string {
	return "(lpad(to_hex((extract(epoch FROM e.accepted_at) * 1000)::bigint), 12, '0') || repeat('" + digit + "', 20))::uuid"
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

// maxUnfinished is how many deliveries that are not final are kept of a day that goes. A day that has more is kept.
const maxUnfinished = 10_000

// dropDays drops the days that ended before a time, the oldest first.
func (d *Database) dropDays(ctx context.Context, before time.Time) (int, error) {
	ctx, cancel := bounded(ctx, archiveTime)
	defer cancel()
	list, err := d.refresh(ctx)
	if err != nil {
		return 0, err
	}
	removed := 0
	for i, day := range list {
		if day.next().After(before) {
			if i > 0 {
				_, err = d.refresh(ctx)
			}
			break
		}
		n, err := d.dropDay(ctx, day)
		removed += n
		if err != nil {
			return removed, err
		}
	}
	return removed, err
}

// dropDay drops a day. Its deliveries that are not final, which a replay late in the retention leaves, move to the default
// partition, with their attempts and events.
func (d *Database) dropDay(ctx context.Context, day day) (int, error) {
	deliveries := day.table("deliveries")
	var unfinished int
	const open = "state <> 'delivered' AND state IN ('pending', 'retrying')"
	err := d.pool.QueryRow(ctx, "SELECT count(*) FROM (SELECT 1 FROM "+deliveries+" WHERE "+open+" LIMIT $1) AS n", maxUnfinished+1).Scan(&unfinished)
	if stateOf(err) == "42P01" { // another process dropped it
		return 0, nil
	}
	if err != nil {
		return 0, fault(ctx, "count what is unfinished", err)
	}
	if unfinished > maxUnfinished {
		d.log.Warn("a day past its retention is kept, since too many of its deliveries are not final", "day", day.Format(time.DateOnly), "at_least", unfinished)
		return 0, nil
	}
	var rows float64
	err = d.alter(ctx, func(tx pgx.Tx) error {
		if there, err := exists(ctx, tx, day); !there || err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, "SELECT greatest(reltuples, 0) FROM pg_class WHERE oid = $1::text::regclass", deliveries).Scan(&rows); err != nil {
			return err
		}
		for _, sql := range dropping(day, open) {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fault(ctx, "drop the partitions of "+day.Format(time.DateOnly), err)
	}
	d.metrics.days.WithLabelValues("dropped").Inc()
	return max(int(rows)-unfinished, 0), nil
}

// dropping are the statements that drop a day but for what is open.
func dropping(day day, open string) []string {
	var list []string
	for _, parent := range parents {
		list = append(list, "ALTER TABLE "+parent+" DETACH PARTITION "+day.table(parent))
	}
	deliveries, attempts, events := day.table("deliveries"), day.table("attempts"), day.table("events")
	ids := "(SELECT id FROM " + deliveries + " WHERE " + open + ")"
	list = append(list,
		"INSERT INTO events SELECT e.* FROM "+events+" e WHERE EXISTS (SELECT 1 FROM "+deliveries+" d WHERE d."+strings.ReplaceAll(open, "state IN", "d.state IN")+
			" AND d.tenant = e.tenant AND d.event_id = e.id) ON CONFLICT DO NOTHING",
		"INSERT INTO attempts SELECT * FROM "+attempts+" WHERE delivery IN "+ids+" ON CONFLICT DO NOTHING",
		"INSERT INTO deliveries SELECT * FROM "+deliveries+" WHERE "+open+" ON CONFLICT DO NOTHING")
	for _, parent := range parents {
		list = append(list, "DROP TABLE "+day.table(parent))
	}
	return list
}
