package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider/postrider"
)

// BeginReplay enters a replay, unless there is one; see postrider.ReplayStore.
func (d *Database) BeginReplay(ctx context.Context, id postrider.DeliveryID, generation int, until time.Time) (bool, error) {
	defer d.metrics.time("replay")()
	ctx, cancel := bounded(ctx, callTime)
	defer cancel()
	now := d.clock()
	b := &pgx.Batch{} // one transaction
	b.Queue(`INSERT INTO replays (delivery, generation, until) VALUES ($1, $2, $3)
		ON CONFLICT (delivery) DO UPDATE SET (generation, until) = (excluded.generation, excluded.until)
		WHERE replays.generation < excluded.generation OR replays.until <= $4`, [16]byte(id), int32(generation), until, now)
	// Rows that others are at are left, since they may wait for the one above.
	b.Queue("DELETE FROM replays WHERE delivery IN (SELECT delivery FROM replays WHERE until <= $1 LIMIT 1000 FOR UPDATE SKIP LOCKED)", now)
	results := d.pool.SendBatch(ctx, b)
	tag, err := results.Exec()
	if closed := results.Close(); err == nil {
		err = closed
	}
	return err == nil && tag.RowsAffected() == 1, fault(ctx, "begin a replay", err)
}

// ForgetReplay removes one that failed; see postrider.ReplayStore.
func (d *Database) ForgetReplay(ctx context.Context, id postrider.DeliveryID, generation int) error {
	defer d.metrics.time("replay")()
	ctx, cancel := bounded(ctx, callTime)
	defer cancel()
	_, err := d.pool.Exec(ctx, "DELETE FROM replays WHERE delivery = $1 AND generation = $2", [16]byte(id), int32(generation))
	return fault(ctx, "forget a replay", err)
}
