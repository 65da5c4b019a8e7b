package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/postrider/postrider"
)

// Version is that of the last change; see postrider.Feed.
func (d *database) Version(ctx context.Context) (uint64, error) {
	var version uint64
	err := d.db.read.QueryRowContext(ctx, "SELECT coalesce(max(version), 0) FROM changes").Scan(&version)
	return version, fault("read the feed", err)
}

// Changes returns changes in order; see postrider.Feed.
func (d *database) Changes(ctx context.Context, after uint64, limit int) ([]postrider.Change, error) {
	tx, err := d.db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, fault("read the feed", err)
	}
	defer func() { _ = tx.Rollback() }()
	var oldest sql.NullInt64
	if err := tx.QueryRowContext(ctx, "SELECT min(version) FROM changes").Scan(&oldest); err != nil {
		return nil, fault("read the feed", err)
	}
	if oldest.Valid && int64(after)+1 < oldest.Int64 {
		return nil, postrider.Errorf(postrider.CodeGone, "changes after %d are no longer kept: load anew", after)
	}
	rows, err := tx.QueryContext(ctx, "SELECT version, kind, id, tenant, by, at FROM changes WHERE version > ? ORDER BY version LIMIT ?", after, limit)
	if err != nil {
		return nil, fault("read the feed", err)
	}
	var changes []postrider.Change
	err = each(rows, func(rows *sql.Rows) error {
		var c postrider.Change
		var at int64
		if err := rows.Scan(&c.Version, &c.Kind, &c.ID, &c.Tenant, &c.By, &at); err != nil {
			return err
		}
		c.At = millis(at)
		changes = append(changes, c)
		return nil
	})
	for i := range changes {
		if err == nil {
			err = attach(ctx, tx, &changes[i])
		}
	}
	return changes, fault("read the feed", err)
}

// attach reads the entity that a change is about, as it is now.
func attach(ctx context.Context, tx *sql.Tx, c *postrider.Change) error {
	var err error
	switch c.Kind {
	case postrider.KindTarget:
		c.Target, err = optional(scanTarget(tx.QueryRowContext(ctx, selectTarget, c.ID, c.Tenant)))
	case postrider.KindFilter:
		c.Filter, err = optional(scanFilter(tx.QueryRowContext(ctx, selectFilter, c.ID, c.Tenant)))
	case postrider.KindSubscription:
		c.Subscription, err = optional(scanSubscription(tx.QueryRowContext(ctx, selectSubscription, c.ID, c.Tenant)))
	}
	return err
}

func optional[T any](item *T, err error) (*T, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return item, err
}

// Load reads every entity as of one version; see postrider.Feed.
func (d *database) Load(ctx context.Context, yield func(*postrider.Change) error) (uint64, error) {
	tx, err := d.db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return 0, fault("load", err)
	}
	defer func() { _ = tx.Rollback() }()
	var version uint64
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(version), 0) FROM changes").Scan(&version); err != nil {
		return 0, fault("load", err)
	}
	err = loadAll(ctx, tx, "targets", targetColumns, scanTarget, func(t *postrider.Target) error {
		return yield(&postrider.Change{Version: t.Version, Kind: postrider.KindTarget, ID: t.ID, Tenant: t.Tenant, Target: t})
	})
	if err != nil {
		return 0, err
	}
	err = loadAll(ctx, tx, "filters", filterColumns, scanFilter, func(f *postrider.Filter) error {
		return yield(&postrider.Change{Version: f.Version, Kind: postrider.KindFilter, ID: f.ID, Tenant: f.Tenant, Filter: f})
	})
	if err != nil {
		return 0, err
	}
	err = loadAll(ctx, tx, "subscriptions", subscriptionColumns, scanSubscription, func(s *postrider.Subscription) error {
		return yield(&postrider.Change{Version: s.Version, Kind: postrider.KindSubscription, ID: s.ID, Tenant: s.Tenant, Subscription: s})
	})
	return version, err
}

func loadAll[T any](ctx context.Context, tx *sql.Tx, table, columns string, scan func(scanner) (*T, error), yield func(*T) error) error {
	rows, err := tx.QueryContext(ctx, "SELECT "+columns+" FROM "+table)
	if err != nil {
		return fault("load "+table, err)
	}
	var stop error
	err = each(rows, func(rows *sql.Rows) error {
		item, err := scan(rows)
		if err == nil {
			stop = yield(item)
			err = stop
		}
		return err
	})
	if stop != nil {
		return stop
	}
	return fault("load "+table, err)
}

// Watch signals after changes; see postrider.Feed.
func (d *database) Watch(ctx context.Context) <-chan struct{} {
	c := make(chan struct{}, 1)
	d.mu.Lock()
	d.watchers[c] = struct{}{}
	d.mu.Unlock()
	context.AfterFunc(ctx, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.watchers, c)
	})
	return c
}

func (d *database) notify() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
