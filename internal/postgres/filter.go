package postgres

import (
	"context"
	"reflect"

	"github.com/jackc/pgx/v5"

	"github.com/postrider/postrider"
)

const (
	filterColumns = "id, tenant, version, created_at, updated_at, events"
	selectFilter  = "SELECT " + filterColumns + " FROM filters WHERE id = $1 AND tenant = $2"
)

func scanFilter(row pgx.Row) (*postrider.Filter, error) {
	f := &postrider.Filter{}
	if err := row.Scan(&f.ID, &f.Tenant, &f.Version, &f.CreatedAt, &f.UpdatedAt, &f.Events); err != nil {
		return nil, err
	}
	f.CreatedAt, f.UpdatedAt = f.CreatedAt.UTC(), f.UpdatedAt.UTC()
	return f, nil
}

// CreateFilter stores a filter; see postrider.FilterStore.
func (d *Database) CreateFilter(ctx context.Context, f *postrider.Filter) error {
	return d.change(ctx, "create a filter", func(_ context.Context, c *changing) error {
		f.ID, f.CreatedAt = newID(), d.now()
		f.UpdatedAt = f.CreatedAt
		f.Version = c.record(postrider.KindFilter, f.Tenant, f.ID)
		c.writes.Queue("INSERT INTO filters ("+filterColumns+") VALUES ($1, $2, $3, $4, $5, $6)", f.ID, f.Tenant, f.Version, f.CreatedAt, f.UpdatedAt, f.Events)
		return nil
	})
}

// Filter returns one; see postrider.FilterStore.
func (d *Database) Filter(ctx context.Context, tenant string, id int64) (*postrider.Filter, error) {
	return get(ctx, d, "filter", selectFilter, tenant, id, scanFilter)
}

// Filters lists them; see postrider.FilterStore.
func (d *Database) Filters(ctx context.Context, tenant string, p postrider.Page) ([]*postrider.Filter, string, error) {
	return listOf(ctx, d, "filters", filterColumns, tenant, p, scanFilter)
}

// UpdateFilter changes one; see postrider.FilterStore.
func (d *Database) UpdateFilter(ctx context.Context, tenant string, id int64, match uint64, change func(*postrider.Filter) error) (*postrider.Filter, error) {
	var result *postrider.Filter
	err := d.change(ctx, "change a filter", func(ctx context.Context, c *changing) error {
		old, err := c.filter(ctx, tenant, id, match)
		if err != nil {
			return err
		}
		changed := *old
		changed.Events = append([]string(nil), old.Events...)
		if err := change(&changed); err != nil {
			return err
		}
		result = &changed
		if reflect.DeepEqual(*old, changed) {
			return nil
		}
		changed.UpdatedAt = d.now()
		changed.Version = c.record(postrider.KindFilter, tenant, id)
		c.writes.Queue("UPDATE filters SET version = $2, updated_at = $3, events = $4 WHERE id = $1", id, changed.Version, changed.UpdatedAt, changed.Events)
		return nil
	})
	return result, err
}

// filter reads the filter that is to be changed.
func (c *changing) filter(ctx context.Context, tenant string, id int64, match uint64) (*postrider.Filter, error) {
	f, err := one(c.tx.QueryRow(ctx, selectFilter, id, tenant), "filter", scanFilter)
	if err != nil {
		return nil, err
	}
	return f, checkMatch("filter", match, f.Version)
}

// DeleteFilter removes one; see postrider.FilterStore.
func (d *Database) DeleteFilter(ctx context.Context, tenant string, id int64, match uint64, cascade bool) error {
	return d.change(ctx, "delete a filter", func(ctx context.Context, c *changing) error {
		if _, err := c.filter(ctx, tenant, id, match); err != nil {
			return err
		}
		if err := c.deleteUsers(ctx, "filter", "filter_id", id, cascade); err != nil {
			return err
		}
		c.record(postrider.KindFilter, tenant, id)
		c.writes.Queue("DELETE FROM filters WHERE id = $1", id)
		return nil
	})
}
