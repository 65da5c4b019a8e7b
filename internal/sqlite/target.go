package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"reflect"
	"time"

	"github.com/postrider/postrider"
)

const targetColumns = `id, tenant, version, created_at, updated_at, name, url, headers, retry_base, retry_max, retry_window, in_flight,
private, state, state_reason, secrets`

func scanTarget(row scanner) (*postrider.Target, error) {
	t := &postrider.Target{}
	var created, updated int64
	var secrets string
	err := row.Scan(&t.ID, &t.Tenant, &t.Version, &created, &updated, &t.Name, &t.URL, &t.SealedHeaders, &t.Retry.Base, &t.Retry.Max, &t.Retry.Window,
		&t.MaxInFlight, &t.AllowPrivate, &t.State, &t.StateReason, &secrets)
	if err != nil {
		return nil, err
	}
	t.CreatedAt, t.UpdatedAt = millis(created), millis(updated)
	return t, json.Unmarshal([]byte(secrets), &t.Secrets)
}

func targetValues(t *postrider.Target) ([]any, error) {
	secrets, err := json.Marshal(t.Secrets)
	return []any{t.ID, t.Tenant, t.Version, t.CreatedAt.UnixMilli(), t.UpdatedAt.UnixMilli(), t.Name, t.URL, t.SealedHeaders, int64(t.Retry.Base),
		int64(t.Retry.Max), int64(t.Retry.Window), t.MaxInFlight, t.AllowPrivate, string(t.State), t.StateReason, string(secrets)}, err
}

// CreateTarget stores a target; see postrider.TargetStore.
func (d *database) CreateTarget(ctx context.Context, target *postrider.Target) error {
	return d.db.writer.do(ctx, func(t *tx) (err error) {
		target.ID, target.CreatedAt = newID(), d.now()
		target.UpdatedAt = target.CreatedAt
		if target.State == "" {
			target.State = postrider.TargetOn
		}
		if target.Version, err = d.record(t, postrider.KindTarget, target.Tenant, target.ID); err != nil {
			return err
		}
		values, err := targetValues(target)
		if err != nil {
			return err
		}
		return t.exec("INSERT INTO targets ("+targetColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values...)
	})
}

// Target returns one; see postrider.TargetStore.
func (d *database) Target(ctx context.Context, tenant string, id int64) (*postrider.Target, error) {
	return one(d.db.read.QueryRowContext(ctx, selectTarget, id, tenant), "target", scanTarget)
}

const selectTarget = "SELECT " + targetColumns + " FROM targets WHERE id = ? AND tenant = ?"

// Targets lists them; see postrider.TargetStore.
func (d *database) Targets(ctx context.Context, tenant string, p postrider.Page) ([]*postrider.Target, string, error) {
	return listOf(ctx, d, "targets", targetColumns, tenant, p, scanTarget)
}

// UpdateTarget changes one; see postrider.TargetStore.
func (d *database) UpdateTarget(ctx context.Context, tenant string, id int64, match uint64, change func(*postrider.Target) error) (*postrider.Target, error) {
	var result *postrider.Target
	err := d.db.writer.do(ctx, func(t *tx) error {
		old, err := one(t.rowOf(selectTarget, id, tenant), "target", scanTarget)
		if err != nil {
			return err
		}
		if err := checkMatch("target", match, old.Version); err != nil {
			return err
		}
		changed := *old
		changed.Secrets = append([]postrider.Secret(nil), old.Secrets...)
		if err := change(&changed); err != nil {
			return err
		}
		result = &changed
		if reflect.DeepEqual(*old, changed) {
			return nil
		}
		return d.storeTarget(t, &changed)
	})
	return result, err
}

func (d *database) storeTarget(t *tx, target *postrider.Target) (err error) {
	target.UpdatedAt = d.now()
	if target.Version, err = d.record(t, postrider.KindTarget, target.Tenant, target.ID); err != nil {
		return err
	}
	values, err := targetValues(target)
	if err != nil {
		return err
	}
	return t.exec(`UPDATE targets SET (`+targetColumns+`) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ?`, append(values, target.ID)...)
}

// DeleteTarget removes one; see postrider.TargetStore.
func (d *database) DeleteTarget(ctx context.Context, tenant string, id int64, match uint64, cascade bool) error {
	return d.db.writer.do(ctx, func(t *tx) error {
		old, err := one(t.rowOf(selectTarget, id, tenant), "target", scanTarget)
		if err != nil {
			return err
		}
		if err := checkMatch("target", match, old.Version); err != nil {
			return err
		}
		if err := d.deleteUsers(t, "target", "target_id", id, cascade); err != nil {
			return err
		}
		if _, err := d.record(t, postrider.KindTarget, tenant, id); err != nil {
			return err
		}
		return t.exec("DELETE FROM targets WHERE id = ?", id)
	})
}

// TurnOff turns a target off; see postrider.TargetStore.
func (d *database) TurnOff(ctx context.Context, tenant string, id int64, reason string, notice *postrider.Event) (bool, error) {
	done := false
	err := d.db.writer.do(ctx, func(t *tx) error {
		done = false
		target, err := one(t.rowOf(selectTarget, id, tenant), "target", scanTarget)
		if postrider.CodeOf(err) == postrider.CodeNotFound || err == nil && target.State == postrider.TargetOff {
			return nil
		}
		if err != nil {
			return err
		}
		target.State, target.StateReason = postrider.TargetOff, reason
		if err := d.storeTarget(t, target); err != nil {
			return err
		}
		done = true
		return addNotice(t, notice)
	})
	return done && err == nil, err
}

func addNotice(t *tx, notice *postrider.Event) error {
	if notice == nil {
		return nil
	}
	body, err := json.Marshal(notice)
	if err != nil {
		return err
	}
	return t.exec("INSERT INTO notices (event) VALUES (?)", string(body))
}

// Notices returns what is to be published; see postrider.NoticeStore.
func (d *database) Notices(ctx context.Context, limit int) ([]postrider.Notice, error) {
	rows, err := d.db.read.QueryContext(ctx, "SELECT id, event FROM notices ORDER BY id LIMIT ?", limit)
	if err != nil {
		return nil, fault("read notices", err)
	}
	var notices []postrider.Notice
	err = each(rows, func(rows *sql.Rows) error {
		var n postrider.Notice
		var body string
		if err := rows.Scan(&n.ID, &body); err != nil {
			return err
		}
		notices = append(notices, n)
		return json.Unmarshal([]byte(body), &notices[len(notices)-1].Event)
	})
	return notices, fault("read notices", err)
}

// DropNotice forgets one; see postrider.NoticeStore.
func (d *database) DropNotice(ctx context.Context, id int64) error {
	return d.db.writer.do(ctx, func(t *tx) error { return t.exec("DELETE FROM notices WHERE id = ?", id) })
}

// PutHolds publishes the holds of a process; see postrider.HoldStore.
func (d *database) PutHolds(ctx context.Context, process string, holds []postrider.Hold) error {
	return d.db.writer.do(ctx, func(t *tx) error {
		if err := t.exec("DELETE FROM holds WHERE process = ? OR until < ?", process, d.db.clock().Add(-time.Hour).UnixMilli()); err != nil {
			return err
		}
		for _, h := range holds {
			err := t.exec("INSERT OR REPLACE INTO holds (process, target_id, reason, since, until) VALUES (?, ?, ?, ?, ?)",
				process, h.TargetID, string(h.Reason), h.Since.UnixMilli(), h.Until.UnixMilli())
			if err != nil {
				return err
			}
		}
		return nil
	})
}
