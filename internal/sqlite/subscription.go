package sqlite

import (
	"context"
	"database/sql"

	"github.com/postrider/postrider"
)

const subscriptionColumns = "id, tenant, version, created_at, updated_at, target_id, filter_id, active"

func scanSubscription(row scanner) (*postrider.Subscription, error) {
	s := &postrider.Subscription{}
	var created, updated int64
	if err := row.Scan(&s.ID, &s.Tenant, &s.Version, &created, &updated, &s.TargetID, &s.FilterID, &s.Active); err != nil {
		return nil, err
	}
	s.CreatedAt, s.UpdatedAt = millis(created), millis(updated)
	return s, nil
}

const selectSubscription = "SELECT " + subscriptionColumns + " FROM subscriptions WHERE id = ? AND tenant = ?"

// CreateSubscription stores a subscription; see postrider.SubscriptionStore.
func (d *database) CreateSubscription(ctx context.Context, s *postrider.Subscription) error {
	return d.db.writer.do(ctx, func(t *tx) (err error) {
		if err := checkEnds(t, s); err != nil {
			return err
		}
		s.ID, s.CreatedAt = newID(), d.now()
		s.UpdatedAt = s.CreatedAt
		if s.Version, err = d.record(t, postrider.KindSubscription, s.Tenant, s.ID); err != nil {
			return err
		}
		return t.exec("INSERT INTO subscriptions ("+subscriptionColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?)", s.ID, s.Tenant, s.Version,
			s.CreatedAt.UnixMilli(), s.UpdatedAt.UnixMilli(), s.TargetID, s.FilterID, s.Active)
	})
}

// checkEnds refuses a target or filter that the tenant does not have.
func checkEnds(t *tx, s *postrider.Subscription) error {
	var faults postrider.Faults
	for _, end := range []struct {
		table, field string
		id           int64
	}{{"targets", "targetId", s.TargetID}, {"filters", "filterId", s.FilterID}} {
		var there bool
		if err := t.row("SELECT EXISTS (SELECT 1 FROM "+end.table+" WHERE id = ? AND tenant = ?)", []any{end.id, s.Tenant}, &there); err != nil {
			return err
		}
		if !there {
			faults.Addf(end.field, "there is no such %s", end.table[:len(end.table)-1])
		}
	}
	return faults.Err()
}

// Subscription returns one; see postrider.SubscriptionStore.
func (d *database) Subscription(ctx context.Context, tenant string, id int64) (*postrider.Subscription, error) {
	return one(d.db.read.QueryRowContext(ctx, selectSubscription, id, tenant), "subscription", scanSubscription)
}

// Subscriptions lists them; see postrider.SubscriptionStore.
func (d *database) Subscriptions(ctx context.Context, tenant string, p postrider.Page) ([]*postrider.Subscription, string, error) {
	return listOf(ctx, d, "subscriptions", subscriptionColumns, tenant, p, scanSubscription)
}

// UpdateSubscription changes one; see postrider.SubscriptionStore.
func (d *database) UpdateSubscription(ctx context.Context, tenant string, id int64, match uint64, change func(*postrider.Subscription) error) (*postrider.Subscription, error) {
	var result *postrider.Subscription
	err := d.db.writer.do(ctx, func(t *tx) error {
		old, err := one(t.rowOf(selectSubscription, id, tenant), "subscription", scanSubscription)
		if err != nil {
			return err
		}
		if err := checkMatch("subscription", match, old.Version); err != nil {
			return err
		}
		changed := *old
		if err := change(&changed); err != nil {
			return err
		}
		result = &changed
		if *old == changed {
			return nil
		}
		if err := checkEnds(t, &changed); err != nil {
			return err
		}
		changed.UpdatedAt = d.now()
		if changed.Version, err = d.record(t, postrider.KindSubscription, tenant, id); err != nil {
			return err
		}
		return t.exec("UPDATE subscriptions SET version = ?, updated_at = ?, target_id = ?, filter_id = ?, active = ? WHERE id = ?",
			changed.Version, changed.UpdatedAt.UnixMilli(), changed.TargetID, changed.FilterID, changed.Active, id)
	})
	return result, err
}

// DeleteSubscription removes one; see postrider.SubscriptionStore.
func (d *database) DeleteSubscription(ctx context.Context, tenant string, id int64, match uint64) error {
	return d.db.writer.do(ctx, func(t *tx) error {
		old, err := one(t.rowOf(selectSubscription, id, tenant), "subscription", scanSubscription)
		if err != nil {
			return err
		}
		if err := checkMatch("subscription", match, old.Version); err != nil {
			return err
		}
		return d.deleteSubscription(t, tenant, id)
	})
}

func (d *database) deleteSubscription(t *tx, tenant string, id int64) error {
	if _, err := d.record(t, postrider.KindSubscription, tenant, id); err != nil {
		return err
	}
	return t.exec("DELETE FROM subscriptions WHERE id = ?", id)
}

// deleteUsers removes the subscriptions that use a target or filter, or refuses to.
func (d *database) deleteUsers(t *tx, what, column string, id int64, cascade bool) error {
	var users []*postrider.Subscription
	err := t.query("SELECT "+subscriptionColumns+" FROM subscriptions WHERE "+column+" = ? ORDER BY seq", []any{id}, func(rows *sql.Rows) error {
		s, err := scanSubscription(rows)
		users = append(users, s)
		return err
	})
	if err != nil {
		return err
	}
	if len(users) > 0 && !cascade {
		return postrider.Errorf(postrider.CodeConflict, "the %s is used by %d subscriptions: delete them first, or with ?cascade=true", what, len(users))
	}
	for _, s := range users {
		if err := d.deleteSubscription(t, s.Tenant, s.ID); err != nil {
			return err
		}
	}
	return nil
}
