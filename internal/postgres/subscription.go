package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/postrider/postrider"
)

const (
	subscriptionColumns = "id, tenant, version, created_at, updated_at, target_id, filter_id, active"
	selectSubscription  = "SELECT " + subscriptionColumns + " FROM subscriptions WHERE id = $1 AND tenant = $2"
)

func scanSubscription(row pgx.Row) (*postrider.Subscription, error) {
	s := &postrider.Subscription{}
	if err := row.Scan(&s.ID, &s.Tenant, &s.Version, &s.CreatedAt, &s.UpdatedAt, &s.TargetID, &s.FilterID, &s.Active); err != nil {
		return nil, err
	}
	s.CreatedAt, s.UpdatedAt = s.CreatedAt.UTC(), s.UpdatedAt.UTC()
	return s, nil
}

// CreateSubscription stores a subscription; see postrider.SubscriptionStore.
func (d *Database) CreateSubscription(ctx context.Context, s *postrider.Subscription) error {
	return d.change(ctx, "create a subscription", func(ctx context.Context, c *changing) error {
		if err := c.checkEnds(ctx, s); err != nil {
			return err
		}
		s.ID, s.CreatedAt = newID(), d.now()
		s.UpdatedAt = s.CreatedAt
		s.Version = c.record(postrider.KindSubscription, s.Tenant, s.ID)
		c.writes.Queue("INSERT INTO subscriptions ("+subscriptionColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)", s.ID, s.Tenant, s.Version,
			s.CreatedAt, s.UpdatedAt, s.TargetID, s.FilterID, s.Active)
		return nil
	})
}

// checkEnds refuses a target or filter that the tenant does not have.
func (c *changing) checkEnds(ctx context.Context, s *postrider.Subscription) error {
	var target, filter bool
	err := c.tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM targets WHERE id = $1 AND tenant = $3),
		EXISTS (SELECT 1 FROM filters WHERE id = $2 AND tenant = $3)`, s.TargetID, s.FilterID, s.Tenant).Scan(&target, &filter)
	if err != nil {
		return err
	}
	var faults postrider.Faults
	if !target {
		faults.Addf("targetId", "there is no such target")
	}
	if !filter {
		faults.Addf("filterId", "there is no such filter")
	}
	return faults.Err()
}

// Subscription returns one; see postrider.SubscriptionStore.
func (d *Database) Subscription(ctx context.Context, tenant string, id int64) (*postrider.Subscription, error) {
	return get(ctx, d, "subscription", selectSubscription, tenant, id, scanSubscription)
}

// Subscriptions lists them; see postrider.SubscriptionStore.
func (d *Database) Subscriptions(ctx context.Context, tenant string, p postrider.Page) ([]*postrider.Subscription, string, error) {
	return listOf(ctx, d, "subscriptions", subscriptionColumns, tenant, p, scanSubscription)
}

// UpdateSubscription changes one; see postrider.SubscriptionStore.
func (d *Database) UpdateSubscription(ctx context.Context, tenant string, id int64, match uint64, change func(*postrider.Subscription) error) (*postrider.Subscription, error) {
	var result *postrider.Subscription
	err := d.change(ctx, "change a subscription", func(ctx context.Context, c *changing) error {
		old, err := c.subscription(ctx, tenant, id, match)
		if err != nil {
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
		if err := c.checkEnds(ctx, &changed); err != nil {
			return err
		}
		changed.UpdatedAt = d.now()
		changed.Version = c.record(postrider.KindSubscription, tenant, id)
		c.writes.Queue("UPDATE subscriptions SET version = $2, updated_at = $3, target_id = $4, filter_id = $5, active = $6 WHERE id = $1",
			id, changed.Version, changed.UpdatedAt, changed.TargetID, changed.FilterID, changed.Active)
		return nil
	})
	return result, err
}

// subscription reads the subscription that is to be changed.
func (c *changing) subscription(ctx context.Context, tenant string, id int64, match uint64) (*postrider.Subscription, error) {
	s, err := one(c.tx.QueryRow(ctx, selectSubscription, id, tenant), "subscription", scanSubscription)
	if err != nil {
		return nil, err
	}
	return s, checkMatch("subscription", match, s.Version)
}

// DeleteSubscription removes one; see postrider.SubscriptionStore.
func (d *Database) DeleteSubscription(ctx context.Context, tenant string, id int64, match uint64) error {
	return d.change(ctx, "delete a subscription", func(ctx context.Context, c *changing) error {
		if _, err := c.subscription(ctx, tenant, id, match); err != nil {
			return err
		}
		c.deleteSubscription(tenant, id)
		return nil
	})
}

func (c *changing) deleteSubscription(tenant string, id int64) {
	c.record(postrider.KindSubscription, tenant, id)
	c.writes.Queue("DELETE FROM subscriptions WHERE id = $1", id)
}

// deleteUsers removes the subscriptions that use a target or filter, or refuses to.
func (c *changing) deleteUsers(ctx context.Context, what, column string, id int64, cascade bool) error {
	var users []*postrider.Subscription
	rows, err := c.tx.Query(ctx, "SELECT "+subscriptionColumns+" FROM subscriptions WHERE "+column+" = $1 ORDER BY seq", id)
	err = each(rows, err, func(row pgx.Row) error {
		s, err := scanSubscription(row)
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
		c.deleteSubscription(s.Tenant, s.ID)
	}
	return nil
}
