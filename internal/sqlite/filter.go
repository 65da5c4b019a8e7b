package sqlite

import (
	"context"
	"encoding/json"
	"reflect"

	"github.com/postrider/postrider"
)

const filterColumns = "id, tenant, version, created_at, updated_at, events"

func scanFilter(row scanner) (*postrider.Filter, error) {
	f := &postrider.Filter{}
	var created, updated int64
	var events string
	if err := row.Scan(&f.ID, &f.Tenant, &f.Version, &created, &updated, &events); err != nil {
		return nil, err
	}
	f.CreatedAt, f.UpdatedAt = millis(created), millis(updated)
	return f, json.Unmarshal([]byte(events), &f.Events)
}

const selectFilter = "SELECT " + filterColumns + " FROM filters WHERE id = ? AND tenant = ?"

// CreateFilter stores a filter; see postrider.FilterStore.
func (d *database) CreateFilter(ctx context.Context, f *postrider.Filter) error {
	return d.db.writer.do(ctx, func(t *tx) (err error) {
		f.ID, f.CreatedAt = newID(), d.now()
		f.UpdatedAt = f.CreatedAt
		if f.Version, err = d.record(t, postrider.KindFilter, f.Tenant, f.ID); err != nil {
			return err
		}
		events, err := json.Marshal(f.Events)
		if err != nil {
			return err
		}
		return t.exec("INSERT INTO filters ("+filterColumns+") VALUES (?, ?, ?, ?, ?, ?)", f.ID, f.Tenant, f.Version, f.CreatedAt.UnixMilli(),
			f.UpdatedAt.UnixMilli(), string(events))
	})
}

// Filter returns one; see postrider.FilterStore.
func (d *database) Filter(ctx context.Context, tenant string, id int64) (*postrider.Filter, error) {
	return one(d.db.read.QueryRowContext(ctx, selectFilter, id, tenant), "filter", scanFilter)
}

// Filters lists them; see postrider.FilterStore.
func (d *database) Filters(ctx context.Context, tenant string, p postrider.Page) ([]*postrider.Filter, string, error) {
	return listOf(ctx, d, "filters", filterColumns, tenant, p, scanFilter)
}

// UpdateFilter changes one; see postrider.FilterStore.
func (d *database) UpdateFilter(ctx context.Context, tenant string, id int64, match uint64, change func(*postrider.Filter) error) (*postrider.Filter, error) {
	var result *postrider.Filter
	err := d.db.writer.do(ctx, func(t *tx) error {
		old, err := one(t.rowOf(selectFilter, id, tenant), "filter", scanFilter)
		if err != nil {
			return err
		}
		if err := checkMatch("filter", match, old.Version); err != nil {
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
		if changed.Version, err = d.record(t, postrider.KindFilter, tenant, id); err != nil {
			return err
		}
		events, err := json.Marshal(changed.Events)
		if err != nil {
			return err
		}
		return t.exec("UPDATE filters SET version = ?, updated_at = ?, events = ? WHERE id = ?", changed.Version, changed.UpdatedAt.UnixMilli(), string(events), id)
	})
	return result, err
}

// DeleteFilter removes one; see postrider.FilterStore.
func (d *database) DeleteFilter(ctx context.Context, tenant string, id int64, match uint64, cascade bool) error {
	return d.db.writer.do(ctx, func(t *tx) error {
		old, err := one(t.rowOf(selectFilter, id, tenant), "filter", scanFilter)
		if err != nil {
			return err
		}
		if err := checkMatch("filter", match, old.Version); err != nil {
			return err
		}
		if err := d.deleteUsers(t, "filter", "filter_id", id, cascade); err != nil {
			return err
		}
		if _, err := d.record(t, postrider.KindFilter, tenant, id); err != nil {
			return err
		}
		return t.exec("DELETE FROM filters WHERE id = ?", id)
	})
}
