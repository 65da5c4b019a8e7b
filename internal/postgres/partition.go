package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/steady"
)

const (
	daysAhead   = 3 // made before they are needed
	daysBack    = 8 // made too, for what is archived late: no retention is shorter
	upkeepEvery = 10 * time.Minute
	// A change of the partitions waits for those that use the tables, and they wait behind it: not for long.
	partitionWait = 500 * time.Millisecond
	partitionTime = time.Minute
)

// parents are the partitioned tables, in the order in which every transaction takes them.
var parents = [...]string{"events", "deliveries", "attempts"}

// day is a day of acceptance (UTC), at its beginning.
type day struct{ time.Time }

func dayOf(t time.Time) day { return day{t.UTC().Truncate(24 * time.Hour)} }

func (d day) next() day { return day{d.AddDate(0, 0, 1)} }

func (d day) table(parent string) string { return parent + "_" + d.Format("20060102") }

// bounds of a day in a table, as literals.
func (d day) bounds(parent string) (from, to string) {
	if parent == "events" {
		return "'" + d.Format(time.RFC3339) + "'", "'" + d.next().Format(time.RFC3339) + "'"
	}
	literal := func(d day) string {
		id := postrider.FirstDeliveryID(d.Time)
		return fmt.Sprintf("'%x'", id[:])
	}
	return literal(d), literal(d.next())
}

// column that a table is partitioned by.
func partitionKey(parent string) string {
	return map[string]string{"events": "accepted_at", "deliveries": "id", "attempts": "delivery"}[parent]
}

// days knows which days have partitions.
type days struct {
	mu   sync.Mutex
	have span // of ids; without a gap
}

func (d *days) span() span {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.have
}

// refresh reads which days there are, oldest first, and keeps the ones around today that are without a gap.
func (d *Database) refresh(ctx context.Context) ([]day, error) {
	rows, err := d.pool.Query(ctx, `SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = 'deliveries'::regclass ORDER BY c.relname`)
	if err != nil {
		return nil, fault(ctx, "list partitions", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fault(ctx, "list partitions", err)
	}
	var list []day
	for _, name := range names {
		if at, err := time.Parse("20060102", strings.TrimPrefix(name, "deliveries_")); err == nil {
			list = append(list, day{at})
		}
	}
	d.keep(list)
	return list, nil
}

func (d *Database) keep(list []day) {
	there := make(map[time.Time]bool, len(list))
	for _, day := range list {
		there[day.Time] = true
	}
	today := dayOf(d.clock())
	var have span
	ahead := -1
	if there[today.Time] {
		first, end := today, today
		for there[first.AddDate(0, 0, -1)] {
			first = day{first.AddDate(0, 0, -1)}
		}
		for ; there[end.Time]; ahead++ {
			end = end.next()
		}
		have = span{postrider.FirstDeliveryID(first.Time), postrider.FirstDeliveryID(end.Time)}
	}
	d.metrics.ahead.Set(float64(ahead))
	d.days.mu.Lock()
	defer d.days.mu.Unlock()
	d.days.have = have
}

// keepDays makes days ahead of need, until ctx ends.
func (d *Database) keepDays(ctx context.Context) {
	for steady.Sleep(ctx, upkeepEvery) {
		if err := d.makeDays(ctx); err != nil && ctx.Err() == nil {
			d.log.Warn("partitions could not be made ahead; trying again", "error", err)
		}
	}
}

// makeDays makes the days that are missing, if this process may.
func (d *Database) makeDays(ctx context.Context) error {
	ctx, cancel := bounded(ctx, partitionTime)
	defer cancel()
	list, err := d.refresh(ctx)
	if err != nil {
		return err
	}
	there := make(map[time.Time]bool, len(list))
	for _, day := range list {
		there[day.Time] = true
	}
	today := dayOf(d.clock())
	var missing []day
	for n := -daysBack; n <= daysAhead; n++ {
		if day := (day{today.AddDate(0, 0, n)}); !there[day.Time] {
			missing = append(missing, day)
		}
	}
	if len(missing) == 0 || !d.mayChange(ctx) {
		return nil
	}
	var errs []error
	for _, day := range missing {
		errs = append(errs, d.makeDay(ctx, day))
	}
	_, err = d.refresh(ctx)
	return errors.Join(append(errs, err)...)
}

// mayChange reports whether this process's login owns the tables. One with less rights leaves them to the others.
func (d *Database) mayChange(ctx context.Context) bool {
	var may bool
	err := d.pool.QueryRow(ctx, `SELECT has_schema_privilege(current_schema(), 'CREATE') AND pg_has_role(relowner, 'USAGE')
		FROM pg_class WHERE oid = 'deliveries'::regclass`).Scan(&may)
	return err == nil && may
}

// makeDay makes the partitions of a day. What the default partitions have of it moves there.
func (d *Database) makeDay(ctx context.Context, day day) error {
	made := false
	err := d.alter(ctx, func(tx pgx.Tx) error {
		if there, err := exists(ctx, tx, day); there || err != nil {
			return err
		}
		for _, parent := range parents {
			table, key := day.table(parent), partitionKey(parent)
			from, to := day.bounds(parent)
			for _, sql := range []string{
				fmt.Sprintf("CREATE TABLE %s (LIKE %s INCLUDING ALL)", table, parent),
				fmt.Sprintf("WITH moved AS (DELETE FROM %[2]s_default WHERE %[3]s >= %[4]s AND %[3]s < %[5]s RETURNING *) INSERT INTO %[1]s SELECT * FROM moved",
					table, parent, key, from, to),
				fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%s)", parent, table, from, to),
			} {
				if _, err := tx.Exec(ctx, sql); err != nil {
					return err
				}
			}
		}
		made = true
		return nil
	})
	if err == nil && made {
		d.metrics.days.WithLabelValues("made").Inc()
	}
	return fault(ctx, "make the partitions of "+day.Format(time.DateOnly), err)
}

// alter runs f in a transaction that changes the partitions: one at a time, and without waiting long for their users.
func (d *Database) alter(ctx context.Context, f func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock("+advisoryLock+")"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d", partitionWait.Milliseconds())); err != nil {
			return err
		}
		return f(tx)
	})
}

func exists(ctx context.Context, tx pgx.Tx, day day) (bool, error) {
	var there bool
	err := tx.QueryRow(ctx, "SELECT to_regclass(quote_ident(current_schema()) || '.' || $1) IS NOT NULL", day.table("deliveries")).Scan(&there)
	return there, err
}
