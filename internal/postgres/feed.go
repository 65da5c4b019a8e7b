package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider/postrider"
)

// Version is that of the last change; see postrider.Feed.
func (d *Database) Version(ctx context.Context) (uint64, error) {
	defer d.metrics.time("feed")()
	ctx, cancel := bounded(ctx, callTime)
	defer cancel()
	var version uint64
	err := d.pool.QueryRow(ctx, "SELECT version FROM feed").Scan(&version)
	return version, fault(ctx, "read the feed", err)
}

var snapshot = pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}

// Changes returns changes in order; see postrider.Feed.
func (d *Database) Changes(ctx context.Context, after uint64, limit int) ([]postrider.Change, error) {
	defer d.metrics.time("feed")()
	ctx, cancel := bounded(ctx, callTime)
	defer cancel()
	var changes []postrider.Change
	err := pgx.BeginTxFunc(ctx, d.pool, snapshot, func(tx pgx.Tx) error {
		var kept, last uint64
		if err := tx.QueryRow(ctx, "SELECT coalesce((SELECT min(version) FROM changes), 1), version FROM feed").Scan(&kept, &last); err != nil {
			return err
		}
		if after < last && after+1 < kept {
			return postrider.Errorf(postrider.CodeGone, "changes after %d are no longer kept: load anew", after)
		}
		rows, err := tx.Query(ctx, "SELECT version, kind, id, tenant, by, at FROM changes WHERE version > $1 ORDER BY version LIMIT $2", after, limit)
		err = each(rows, err, func(row pgx.Row) error {
			var c postrider.Change
			var kind int16
			err := row.Scan(&c.Version, &kind, &c.ID, &c.Tenant, &c.By, &c.At)
			c.Kind, c.At = postrider.Kind(kind), c.At.UTC()
			changes = append(changes, c)
			return err
		})
		if err != nil {
			return err
		}
		return attach(ctx, tx, changes)
	})
	return changes, fault(ctx, "read the feed", err)
}

// attach reads the entities that changes are about, as they are in this snapshot.
func attach(ctx context.Context, tx pgx.Tx, changes []postrider.Change) error {
	ids := map[postrider.Kind][]int64{}
	for i := range changes {
		ids[changes[i].Kind] = append(ids[changes[i].Kind], changes[i].ID)
	}
	targets, err := among(ctx, tx, "targets", targetColumns, ids[postrider.KindTarget], scanTarget, func(t *postrider.Target) int64 { return t.ID })
	if err != nil {
		return err
	}
	filters, err := among(ctx, tx, "filters", filterColumns, ids[postrider.KindFilter], scanFilter, func(f *postrider.Filter) int64 { return f.ID })
	if err != nil {
		return err
	}
	subscriptions, err := among(ctx, tx, "subscriptions", subscriptionColumns, ids[postrider.KindSubscription], scanSubscription,
		func(s *postrider.Subscription) int64 { return s.ID })
	for i := range changes {
		c := &changes[i]
		switch c.Kind {
		case postrider.KindTarget:
			c.Target = targets[c.ID]
		case postrider.KindFilter:
			c.Filter = filters[c.ID]
		case postrider.KindSubscription:
			c.Subscription = subscriptions[c.ID]
		}
	}
	return err
}

// among reads entities by their ids.
func among[T any](ctx context.Context, q querier, table, columns string, ids []int64, scan func(pgx.Row) (*T, error), id func(*T) int64) (map[int64]*T, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	items := make(map[int64]*T, len(ids))
	rows, err := q.Query(ctx, "SELECT "+columns+" FROM "+table+" WHERE id = ANY ($1)", ids)
	err = each(rows, err, func(row pgx.Row) error {
		item, err := scan(row)
		if err == nil {
			items[id(item)] = item
		}
		return err
	})
	return items, err
}

// stall is how long a load may go without a row.
const stall = 30 * time.Second

// Load reads every entity as of one version; see postrider.Feed. It takes as long as it has rows to read.
func (d *Database) Load(ctx context.Context, yield func(*postrider.Change) error) (version uint64, err error) {
	defer d.metrics.time("load")()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(stall, func() { cancel(errSlow) })
	defer timer.Stop()
	l := &loader{ctx: ctx, yield: func(c *postrider.Change) error { timer.Reset(stall); return yield(c) }}
	err = pgx.BeginTxFunc(ctx, d.pool, snapshot, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = 0; SET LOCAL enable_seqscan = on"); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, "SELECT version FROM feed").Scan(&version); err != nil {
			return err
		}
		return l.all(tx)
	})
	if l.stopped != nil {
		return 0, l.stopped
	}
	return version, fault(ctx, "load", err)
}

// loader hands the rows of a load on.
type loader struct {
	ctx     context.Context //nolint:containedctx // it lives as long as one call
	yield   func(*postrider.Change) error
	stopped error // of yield
}

func (l *loader) all(tx pgx.Tx) error {
	err := loadAll(l, tx, "targets", targetColumns, scanTarget, func(t *postrider.Target) *postrider.Change {
		return &postrider.Change{Version: t.Version, Kind: postrider.KindTarget, ID: t.ID, Tenant: t.Tenant, Target: t}
	})
	if err == nil {
		err = loadAll(l, tx, "filters", filterColumns, scanFilter, func(f *postrider.Filter) *postrider.Change {
			return &postrider.Change{Version: f.Version, Kind: postrider.KindFilter, ID: f.ID, Tenant: f.Tenant, Filter: f}
		})
	}
	if err == nil {
		err = loadAll(l, tx, "subscriptions", subscriptionColumns, scanSubscription, func(s *postrider.Subscription) *postrider.Change {
			return &postrider.Change{Version: s.Version, Kind: postrider.KindSubscription, ID: s.ID, Tenant: s.Tenant, Subscription: s}
		})
	}
	return err
}

var errStopped = errors.New("the load was ended by its caller")

func loadAll[T any](l *loader, tx pgx.Tx, table, columns string, scan func(pgx.Row) (*T, error), change func(*T) *postrider.Change) error {
	rows, err := tx.Query(l.ctx, "SELECT "+columns+" FROM "+table)
	return each(rows, err, func(row pgx.Row) error {
		item, err := scan(row)
		if err != nil {
			return err
		}
		if l.stopped = l.yield(change(item)); l.stopped != nil {
			return errStopped
		}
		return nil
	})
}
