package postgres

import (
	"context"
	"errors"
	"sort"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider/postrider"
)

// EventRecord returns a tenant's newest event with an id; see postrider.Archive.
func (d *Database) EventRecord(ctx context.Context, tenant, id string) (*postrider.EventRecord, error) {
	defer d.metrics.time("event")()
	ctx, cancel := bounded(ctx, callTime)
	defer cancel()
	r := &postrider.EventRecord{Tenant: tenant}
	var position string
	err := d.pool.QueryRow(ctx, `SELECT id, type, content_type, accepted_at, position, size FROM events
		WHERE key = $1 AND tenant = $2 AND id = $3 AND fanned ORDER BY accepted_at DESC, position DESC LIMIT 1`, eventKey(tenant, id), tenant, id).
		Scan(&r.ID, &r.Type, &r.ContentType, &r.AcceptedAt, &position, &r.Size)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, postrider.Errorf(postrider.CodeNotFound, "there is no event %q", id)
	}
	r.AcceptedAt, r.Position = r.AcceptedAt.UTC(), postrider.Position(position)
	return r, fault(ctx, "read an event", err)
}

// held is true for deliveries that are not final and whose target is on hold at a time, @now.
const held = "(d.state IN ('pending', 'retrying') AND EXISTS (SELECT 1 FROM holds h WHERE h.target_id = d.target_id AND h.until > @now))"

const (
	selectFrom       = "SELECT " + deliveryColumns + ", " + held + " FROM "
	selectDeliveries = selectFrom + "deliveries d"
)

func scanDelivery(row pgx.Row) (postrider.DeliveryRecord, error) {
	var r postrider.DeliveryRecord
	var next *time.Time
	var state, reason, position string
	var onHold bool
	err := row.Scan(&r.Tenant, (*[16]byte)(&r.ID), &r.TargetID, &r.Event.Size, &r.UpdatedAt, &next, &r.Generation, &r.Attempts, &state, &reason,
		&r.Event.ID, &r.Event.Type, &r.Event.ContentType, &position, &onHold)
	if err != nil {
		return r, err
	}
	r.State, r.Reason, r.Event.Position = postrider.State(state), postrider.Reason(reason), postrider.Position(position)
	if onHold {
		r.State = postrider.StateDeferred
	}
	if next != nil {
		r.NextAt = next.UTC()
	}
	r.UpdatedAt, r.CreatedAt = r.UpdatedAt.UTC(), r.ID.AcceptedAt()
	r.Event.AcceptedAt = r.CreatedAt
	return r, nil
}

// Delivery returns one; see postrider.Archive.
func (d *Database) Delivery(ctx context.Context, tenant string, id postrider.DeliveryID) (*postrider.DeliveryRecord, error) {
	defer d.metrics.time("delivery")()
	ctx, cancel := bounded(ctx, callTime)
	defer cancel()
	r, err := scanDelivery(d.pool.QueryRow(ctx, selectDeliveries+" WHERE tenant = @tenant AND id = @id",
		pgx.NamedArgs{"now": d.clock(), "tenant": tenant, "id": [16]byte(id)}))
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, postrider.Errorf(postrider.CodeNotFound, "there is no such delivery")
	}
	return &r, fault(ctx, "read a delivery", err)
}

// selectAttempts marks the row of the delivery, which may have no attempt, with place 0. Without it the attempts are not the tenant's.
const selectAttempts = "SELECT 0 AS place, " + attemptColumns + " FROM deliveries WHERE tenant = $1 AND id = $2 UNION ALL (SELECT 1, " + attemptColumns +
	" FROM attempts WHERE delivery = $2 ORDER BY number, started_at LIMIT 1000)"

// Attempts returns a delivery's attempts; see postrider.Archive.
func (d *Database) Attempts(ctx context.Context, tenant string, id postrider.DeliveryID) ([]postrider.Attempt, error) {
	defer d.metrics.time("attempts")()
	ctx, cancel := bounded(ctx, callTime)
	defer cancel()
	var attempts []postrider.Attempt
	mine := false
	rows, err := d.pool.Query(ctx, selectAttempts, tenant, [16]byte(id))
	err = each(rows, err, func(row pgx.Row) error {
		place, a, err := scanAttempt(row)
		mine = mine || place == 0
		if a.Number > 0 {
			attempts = append(attempts, a)
		}
		return err
	})
	if err != nil {
		return nil, fault(ctx, "read attempts", err)
	}
	if !mine {
		return nil, postrider.Errorf(postrider.CodeNotFound, "there is no such delivery")
	}
	return inOrder(attempts), nil
}

func scanAttempt(row pgx.Row) (place int, a postrider.Attempt, err error) {
	var number, status *int32
	var duration *int64
	var started *time.Time
	var class, text *string
	if err := row.Scan(&place, &number, &started, &duration, &status, &class, &text, &a.Head); err != nil || number == nil {
		return place, a, err
	}
	a.Number, a.StartedAt, a.Status = int(*number), started.UTC(), int(*status)
	a.Duration, a.Class, a.Error = time.Duration(*duration)*time.Microsecond, postrider.Class(*class), *text
	return place, a, nil
}

// inOrder sorts attempts by number and start, and leaves one of what is both in the delivery's row and beside it.
func inOrder(attempts []postrider.Attempt) []postrider.Attempt {
	sort.SliceStable(attempts, func(i, j int) bool {
		if attempts[i].Number != attempts[j].Number {
			return attempts[i].Number < attempts[j].Number
		}
		return attempts[i].StartedAt.Before(attempts[j].StartedAt)
	})
	kept := attempts[:0]
	for _, a := range attempts {
		if n := len(kept); n > 0 && kept[n-1].Number == a.Number && kept[n-1].StartedAt.Equal(a.StartedAt) {
			continue
		}
		kept = append(kept, a)
	}
	return kept[:min(len(kept), maxAttempts)]
}

const maxAttempts = 1000
