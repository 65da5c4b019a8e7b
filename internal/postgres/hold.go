package postgres

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider/postrider"
)

// holdKept is how long a hold stays in its table after its end; it counts no longer then.
const holdKept = time.Hour

// PutHolds publishes the holds of a process; see postrider.HoldStore.
func (d *Database) PutHolds(ctx context.Context, process string, holds []postrider.Hold) error {
	defer d.metrics.time("holds")()
	ctx, cancel := bounded(ctx, callTime)
	defer cancel()
	targets, reasons := make([]int64, len(holds)), make([]string, len(holds))
	since, until := make([]time.Time, len(holds)), make([]time.Time, len(holds))
	for i, h := range holds {
		targets[i], reasons[i], since[i], until[i] = h.TargetID, string(h.Reason), h.Since, h.Until
	}
	b := &pgx.Batch{} // one transaction
	b.Queue("DELETE FROM holds WHERE process = $1 AND target_id <> ALL ($2)", process, targets)
	b.Queue(`INSERT INTO holds (process, target_id, reason, since, until)
		SELECT DISTINCT ON (h.target_id) $1, h.* FROM unnest($2::bigint[], $3::text[], $4::timestamptz[], $5::timestamptz[]) AS h (target_id, reason, since, until)
		ORDER BY h.target_id, h.until DESC
		ON CONFLICT (target_id, process) DO UPDATE SET (reason, since, until) = (excluded.reason, excluded.since, excluded.until)`,
		process, targets, reasons, since, until)
	b.Queue("DELETE FROM holds WHERE until < $1", d.clock().Add(-holdKept))
	return fault(ctx, "publish holds", d.pool.SendBatch(ctx, b).Close())
}

func (c *changing) addNotice(notice *postrider.Event) error {
	if notice == nil {
		return nil
	}
	body, err := json.Marshal(notice)
	c.writes.Queue("INSERT INTO notices (event) VALUES ($1)", string(body))
	return err
}

// Notices returns what is to be published; see postrider.NoticeStore.
func (d *Database) Notices(ctx context.Context, limit int) ([]postrider.Notice, error) {
	defer d.metrics.time("notices")()
	ctx, cancel := bounded(ctx, callTime)
	defer cancel()
	var notices []postrider.Notice
	rows, err := d.pool.Query(ctx, "SELECT id, event FROM notices ORDER BY id LIMIT $1", limit)
	err = each(rows, err, func(row pgx.Row) error {
		var n postrider.Notice
		var body string
		if err := row.Scan(&n.ID, &body); err != nil {
			return err
		}
		err := json.Unmarshal([]byte(body), &n.Event)
		notices = append(notices, n)
		return err
	})
	return notices, fault(ctx, "read notices", err)
}

// DropNotice forgets one; see postrider.NoticeStore.
func (d *Database) DropNotice(ctx context.Context, id int64) error {
	ctx, cancel := bounded(ctx, callTime)
	defer cancel()
	_, err := d.pool.Exec(ctx, "DELETE FROM notices WHERE id = $1", id)
	return fault(ctx, "drop a notice", err)
}
