package postgres

import (
	"context"
	"encoding/json"
	"reflect"

	"github.com/jackc/pgx/v5"

	"github.com/postrider/postrider"
)

const (
	targetColumns = `id, tenant, version, created_at, updated_at, name, url, headers, retry_base, retry_max, retry_window, in_flight,
private, state, state_reason, secrets`
	selectTarget = "SELECT " + targetColumns + " FROM targets WHERE id = $1 AND tenant = $2"
	insertTarget = "INSERT INTO targets (" + targetColumns + ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
	updateTarget = "UPDATE targets SET (" + targetColumns + ") = ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) WHERE id = $1"
)

func scanTarget(row pgx.Row) (*postrider.Target, error) {
	t := &postrider.Target{}
	var secrets string
	err := row.Scan(&t.ID, &t.Tenant, &t.Version, &t.CreatedAt, &t.UpdatedAt, &t.Name, &t.URL, &t.SealedHeaders, (*int64)(&t.Retry.Base), (*int64)(&t.Retry.Max),
		(*int64)(&t.Retry.Window), &t.MaxInFlight, &t.AllowPrivate, &t.State, &t.StateReason, &secrets)
	if err != nil {
		return nil, err
	}
	t.CreatedAt, t.UpdatedAt = t.CreatedAt.UTC(), t.UpdatedAt.UTC()
	return t, json.Unmarshal([]byte(secrets), &t.Secrets)
}

func targetValues(t *postrider.Target) ([]any, error) {
	if err := noNUL("name", t.Name); err != nil {
		return nil, err
	}
	secrets, err := json.Marshal(t.Secrets)
	return []any{t.ID, t.Tenant, t.Version, t.CreatedAt, t.UpdatedAt, t.Name, t.URL, t.SealedHeaders, int64(t.Retry.Base),
		int64(t.Retry.Max), int64(t.Retry.Window), t.MaxInFlight, t.AllowPrivate, string(t.State), text(t.StateReason), string(secrets)}, err
}

// CreateTarget stores a target; see postrider.TargetStore.
func (d *Database) CreateTarget(ctx context.Context, target *postrider.Target) error {
	return d.change(ctx, "create a target", func(_ context.Context, c *changing) error {
		target.ID, target.CreatedAt = newID(), d.now()
		target.UpdatedAt = target.CreatedAt
		if target.State == "" {
			target.State = postrider.TargetOn
		}
		target.Version = c.record(postrider.KindTarget, target.Tenant, target.ID)
		values, err := targetValues(target)
		c.writes.Queue(insertTarget, values...)
		return err
	})
}

// Target returns one; see postrider.TargetStore.
func (d *Database) Target(ctx context.Context, tenant string, id int64) (*postrider.Target, error) {
	return get(ctx, d, "target", selectTarget, tenant, id, scanTarget)
}

// Targets lists them; see postrider.TargetStore.
func (d *Database) Targets(ctx context.Context, tenant string, p postrider.Page) ([]*postrider.Target, string, error) {
	return listOf(ctx, d, "targets", targetColumns, tenant, p, scanTarget)
}

// UpdateTarget changes one; see postrider.TargetStore.
func (d *Database) UpdateTarget(ctx context.Context, tenant string, id int64, match uint64, change func(*postrider.Target) error) (*postrider.Target, error) {
	var result *postrider.Target
	err := d.change(ctx, "change a target", func(ctx context.Context, c *changing) error {
		old, err := c.target(ctx, tenant, id, match)
		if err != nil {
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
		return c.storeTarget(&changed)
	})
	return result, err
}

// target reads the target that is to be changed.
func (c *changing) target(ctx context.Context, tenant string, id int64, match uint64) (*postrider.Target, error) {
	t, err := one(c.tx.QueryRow(ctx, selectTarget, id, tenant), "target", scanTarget)
	if err != nil {
		return nil, err
	}
	return t, checkMatch("target", match, t.Version)
}

func (c *changing) storeTarget(t *postrider.Target) error {
	t.UpdatedAt = c.d.now()
	t.Version = c.record(postrider.KindTarget, t.Tenant, t.ID)
	values, err := targetValues(t)
	c.writes.Queue(updateTarget, values...)
	return err
}

// DeleteTarget removes one; see postrider.TargetStore.
func (d *Database) DeleteTarget(ctx context.Context, tenant string, id int64, match uint64, cascade bool) error {
	return d.change(ctx, "delete a target", func(ctx context.Context, c *changing) error {
		if _, err := c.target(ctx, tenant, id, match); err != nil {
			return err
		}
		if err := c.deleteUsers(ctx, "target", "target_id", id, cascade); err != nil {
			return err
		}
		c.record(postrider.KindTarget, tenant, id)
		c.writes.Queue("DELETE FROM targets WHERE id = $1", id)
		return nil
	})
}

// TurnOff turns a target off; see postrider.TargetStore.
func (d *Database) TurnOff(ctx context.Context, tenant string, id int64, reason string, notice *postrider.Event) (bool, error) {
	done := false
	err := d.change(ctx, "turn a target off", func(ctx context.Context, c *changing) error {
		done = false
		t, err := c.target(ctx, tenant, id, 0)
		if postrider.CodeOf(err) == postrider.CodeNotFound || err == nil && t.State == postrider.TargetOff {
			return nil
		}
		if err != nil {
			return err
		}
		done = true
		t.State, t.StateReason = postrider.TargetOff, reason
		if err := c.storeTarget(t); err != nil {
			return err
		}
		return c.addNotice(notice)
	})
	return done && err == nil, err
}
