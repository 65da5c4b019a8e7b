package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/postrider/postrider"
)

// EventRecord returns a tenant's newest event with an id; see postrider.Archive.
func (d *database) EventRecord(ctx context.Context, tenant, id string) (*postrider.EventRecord, error) {
	r := &postrider.EventRecord{Tenant: tenant}
	var accepted int64
	var position string
	err := d.db.lists.QueryRowContext(ctx, `SELECT id, type, content_type, accepted_at, position, size FROM (
			SELECT *, seq AS place FROM event_heads WHERE id_hash IN (?1, ?5) AND tenant = ?2 AND id = ?3
			UNION ALL SELECT NULL, id_hash, tenant, id, type, content_type, accepted_at, CAST(position AS TEXT), size, position FROM events
			WHERE id_hash IN (?1, ?5) AND tenant = ?2 AND id = ?3 AND position < ?4)
		ORDER BY accepted_at DESC, place DESC LIMIT 1`, idKey(tenant, id), tenant, id, d.db.events.fannedOut(tenant), idHash(tenant, id)).
		Scan(&r.ID, &r.Type, &r.ContentType, &accepted, &position, &r.Size)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, postrider.Errorf(postrider.CodeNotFound, "there is no event %q", id)
	}
	r.AcceptedAt, r.Position = millis(accepted), postrider.Position(position)
	return r, fault("read an event", err)
}

// held is true for deliveries that are not final and whose target is on hold.
const held = "(state IN ('pending', 'retrying') AND EXISTS (SELECT 1 FROM holds WHERE holds.target_id = deliveries.target_id AND until > ?))"

// looksAt is how many rows a page looks at where no index has all that a list asks for: some 0.1 s. Then it ends short.
const looksAt = 50_000

// listedAtOnce is how many deliveries one statement looks up by their ids.
const listedAtOnce = 500

// Deliveries lists newest first; see postrider.Archive.
func (d *database) Deliveries(ctx context.Context, tenant string, q postrider.DeliveryQuery) ([]postrider.DeliveryRecord, string, error) {
	of, rest, limit, err := d.conditions(tenant, q)
	if err != nil {
		return nil, "", err
	}
	if byTargetOf(q) {
		if others, err := d.ofAnother(ctx, tenant, q.TargetID, &rest); others || err != nil {
			return nil, "", err
		}
	}
	var next string
	if len(rest.parts) > 0 {
		last, err := d.lastLookedAt(ctx, tenant, q, of)
		if err != nil {
			return nil, "", err
		}
		if last != nil {
			of.notBelow(last)
			next = hex.EncodeToString(last)
		}
	}
	of.add("tenant = ?", tenant)
	of.add(strings.Join(append([]string{"TRUE"}, rest.parts...), " AND "), rest.args...)
	records, err := d.list(ctx, q, of, limit+1)
	if len(records) > limit {
		records, next = records[:limit], hex.EncodeToString(records[limit-1].ID[:])
	}
	return records, next, fault("list deliveries", err)
}

// list reads the first deliveries that meet conditions.
func (d *database) list(ctx context.Context, q postrider.DeliveryQuery, of conditions, limit int) ([]postrider.DeliveryRecord, error) {
	if !byTargetOf(q) {
		return d.listFrom(ctx, source(q), of, limit)
	}
	tail := d.db.byTarget.tail(q.TargetID) // before the index, into which it moves
	records, err := d.listFrom(ctx, source(q), of, limit)
	if err != nil {
		return nil, err
	}
	more, err := d.listThose(ctx, of.within(tail), of, limit)
	return newestOf(records, more, limit), err
}

// listThose reads the first of some deliveries that meet conditions.
func (d *database) listThose(ctx context.Context, ids []postrider.DeliveryID, of conditions, limit int) (records []postrider.DeliveryRecord, err error) {
	slices.SortFunc(ids, func(x, y postrider.DeliveryID) int { return compareIDs(y, x) })
	of.add("id IN (SELECT unhex(value) FROM json_each(?))", nil)
	for len(ids) > 0 && len(records) < limit && err == nil {
		n := min(max(limit, listedAtOnce), len(ids))
		of.args[len(of.args)-1] = hexList(ids[:n])
		var some []postrider.DeliveryRecord
		some, err = d.listFrom(ctx, "deliveries", of, limit-len(records))
		records, ids = append(records, some...), ids[n:]
	}
	return records, err
}

func (d *database) listFrom(ctx context.Context, source string, of conditions, limit int) (records []postrider.DeliveryRecord, err error) {
	rows, err := d.db.lists.QueryContext(ctx, "SELECT "+deliveryColumns+", "+held+" FROM "+source+" WHERE "+of.where()+" ORDER BY id DESC LIMIT ?",
		append(append([]any{d.db.clock().UnixMilli()}, of.args...), limit)...)
	if err != nil {
		return nil, err
	}
	err = each(rows, func(rows *sql.Rows) error {
		r, err := scanDelivery(rows)
		records = append(records, r)
		return err
	})
	return records, err
}

// newestOf is the beginning of two lists that are newest first, as one.
func newestOf(x, y []postrider.DeliveryRecord, limit int) []postrider.DeliveryRecord {
	all := append(x, y...)
	slices.SortStableFunc(all, func(x, y postrider.DeliveryRecord) int { return compareIDs(y.ID, x.ID) })
	all = slices.CompactFunc(all, func(x, y postrider.DeliveryRecord) bool { return x.ID == y.ID })
	return all[:min(limit, len(all))]
}

// ofAnother reports whether a target is another tenant's. The index knows nothing of tenants: of a target that is gone, whosever it
// was, a page looks at so many rows.
func (d *database) ofAnother(ctx context.Context, tenant string, target int64, rest *conditions) (bool, error) {
	var owner string
	err := d.db.lists.QueryRowContext(ctx, "SELECT tenant FROM targets WHERE id = ?", target).Scan(&owner)
	if errors.Is(err, sql.ErrNoRows) {
		rest.add("TRUE")
		return false, nil
	}
	return owner != tenant, fault("list deliveries", err)
}

// lastLookedAt is the id of the last row that a page looks at; nil if it looks at all that there are. What is deferred is two runs of
// the index by state: half of the rows may be of each.
func (d *database) lastLookedAt(ctx context.Context, tenant string, q postrider.DeliveryQuery, of conditions) (last []byte, err error) {
	runs, from := []string{"TRUE"}, source(q)
	if q.State == postrider.StateDeferred && byState(q) {
		runs = []string{"state = 'pending'", "state = 'retrying'"}
	}
	if of.parts = slices.Clone(of.parts); byTargetOf(q) {
		from = targetIndex
	} else {
		of.add("tenant = ?", tenant)
	}
	for _, run := range runs {
		var id []byte
		err := d.db.lists.QueryRowContext(ctx, "SELECT id FROM "+from+" WHERE "+of.where()+" AND "+run+" ORDER BY id DESC LIMIT 1 OFFSET ?",
			append(slices.Clip(of.args), looksAt/len(runs)-1)...).Scan(&id)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, fault("list deliveries", err)
		}
		if bytes.Compare(id, last) > 0 {
			last = id
		}
	}
	return last, nil
}

// source is what a query is read from. It names the index, since SQLite, which knows nothing of the rows, would read all of a tenant's.
func source(q postrider.DeliveryQuery) string {
	switch {
	case byTargetOf(q):
		return targetIndex + " CROSS JOIN deliveries USING (target_id, id)"
	case byState(q):
		return "deliveries INDEXED BY deliveries_waiting"
	}
	return "deliveries" // by its primary key
}

const targetIndex = "target_deliveries"

// byTargetOf reports whether a query is read by target. Those of an event are read by its time, which bounds the ids.
func byTargetOf(q postrider.DeliveryQuery) bool { return q.TargetID != 0 && q.EventID == "" }

func byState(q postrider.DeliveryQuery) bool {
	return q.TargetID == 0 && q.EventID == "" && q.State != "" && q.State != postrider.StateDelivered
}

// conditions are parts of a WHERE and their values.
type conditions struct {
	parts []string
	args  []any

	least, end []byte // of ids; nil: none
}

func (c *conditions) add(part string, values ...any) {
	c.parts, c.args = append(c.parts, part), append(c.args, values...)
}

// notBelow and below bound the ids.
func (c *conditions) notBelow(id []byte) {
	c.add("id >= ?", id)
	if bytes.Compare(id, c.least) > 0 {
		c.least = id
	}
}

func (c *conditions) below(id []byte) {
	c.add("id < ?", id)
	if c.end == nil || bytes.Compare(id, c.end) < 0 {
		c.end = id
	}
}

// within returns those ids that are within the bounds. It changes the list.
func (c *conditions) within(ids []postrider.DeliveryID) []postrider.DeliveryID {
	return slices.DeleteFunc(ids, func(id postrider.DeliveryID) bool {
		return bytes.Compare(id[:], c.least) < 0 || c.end != nil && bytes.Compare(id[:], c.end) >= 0
	})
}

func (c *conditions) where() string { return strings.Join(c.parts, " AND ") }

// conditions makes the WHERE of a query: what its index has, and the rest, for which rows have to be looked at. The time of a delivery
// is in its id.
func (d *database) conditions(tenant string, q postrider.DeliveryQuery) (of, rest conditions, limit int, err error) {
	limit = q.Limit
	if limit == 0 {
		limit = postrider.DefaultPageLimit
	}
	if q.After != "" {
		after, err := hex.DecodeString(q.After)
		if err != nil || len(after) != len(postrider.DeliveryID{}) {
			return of, rest, 0, postrider.Invalid("after", "is no cursor that a list gave")
		}
		of.below(after)
	}
	if !q.Since.IsZero() {
		of.notBelow(firstID(q.Since))
	}
	if !q.Until.IsZero() {
		of.below(firstID(q.Until))
	}
	if q.TargetID != 0 && q.EventID == "" {
		of.add("target_id = ?", q.TargetID)
	}
	if q.EventID != "" {
		if q.TargetID != 0 { // the primary key, by which an event is looked for, has none
			rest.add("target_id = ?", q.TargetID)
		}
		rest.add("event_id = ?", q.EventID)
		if from, to, ok := d.spanOf(tenant, q.EventID); ok {
			of.notBelow(from)
			of.below(to)
		}
	}
	if q.EventType != "" {
		rest.add("type = ?", q.EventType)
	}
	d.stateIs(q, &of, &rest)
	return of, rest, limit, nil
}

// stateIs adds the conditions of a state.
func (d *database) stateIs(q postrider.DeliveryQuery, of, rest *conditions) {
	if q.State == "" {
		return
	}
	if !byState(q) {
		of = rest
	}
	now := d.db.clock().UnixMilli()
	if q.State != postrider.StateDelivered {
		of.add("state <> 'delivered'") // literally, as the partial index has it
	}
	switch q.State {
	case postrider.StateDeferred:
		rest.add(held, now)
	case postrider.StatePending, postrider.StateRetrying:
		of.add("state = ?", string(q.State))
		rest.add("NOT "+held, now)
	default:
		of.add("state = ?", string(q.State))
	}
}

// firstID is the least delivery id of a time, rounded up to the milliseconds that ids have.
func firstID(at time.Time) []byte {
	if rest := at.Truncate(time.Millisecond); rest.Before(at) {
		at = rest.Add(time.Millisecond)
	}
	id := postrider.FirstDeliveryID(at)
	return id[:]
}

// spanOf bounds the ids of an event's deliveries, which begin with its acceptance time.
func (d *database) spanOf(tenant, eventID string) (from, to []byte, ok bool) {
	var least, most sql.NullInt64
	err := d.db.lists.QueryRow( //nolint:noctx // short
		`SELECT min(accepted_at), max(accepted_at) FROM (
			SELECT accepted_at FROM event_heads WHERE id_hash IN (?1, ?4) AND tenant = ?2 AND id = ?3
			UNION ALL SELECT accepted_at FROM events WHERE id_hash IN (?1, ?4) AND tenant = ?2 AND id = ?3)`,
		idKey(tenant, eventID), tenant, eventID, idHash(tenant, eventID)).Scan(&least, &most)
	if err != nil || !least.Valid {
		return nil, nil, false
	}
	return firstID(millis(least.Int64)), firstID(millis(most.Int64 + 1)), true
}

func scanDelivery(row scanner) (postrider.DeliveryRecord, error) {
	var r postrider.DeliveryRecord
	var id []byte
	var next, updated int64
	var onHold bool
	err := row.Scan(&r.Tenant, &id, &r.Event.ID, &r.Event.Type, &r.Event.ContentType, &r.Event.Position, &r.Event.Size, &r.TargetID, &r.Generation,
		&r.Attempts, &r.State, &r.Reason, &next, &updated, &onHold)
	if err != nil {
		return r, err
	}
	copy(r.ID[:], id)
	if onHold {
		r.State = postrider.StateDeferred
	}
	r.NextAt, r.UpdatedAt = millis(next), time.UnixMicro(updated).UTC()
	r.CreatedAt = r.ID.AcceptedAt()
	r.Event.AcceptedAt = r.CreatedAt
	return r, nil
}

// Delivery returns one; see postrider.Archive.
func (d *database) Delivery(ctx context.Context, tenant string, id postrider.DeliveryID) (*postrider.DeliveryRecord, error) {
	r, err := scanDelivery(d.db.read.QueryRowContext(ctx, "SELECT "+deliveryColumns+", "+held+" FROM deliveries WHERE tenant = ? AND id = ?",
		d.db.clock().UnixMilli(), tenant, id[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, postrider.Errorf(postrider.CodeNotFound, "there is no such delivery")
	}
	return &r, fault("read a delivery", err)
}

// Attempts returns a delivery's attempts; see postrider.Archive.
func (d *database) Attempts(ctx context.Context, tenant string, id postrider.DeliveryID) ([]postrider.Attempt, error) {
	if _, err := d.Delivery(ctx, tenant, id); err != nil {
		return nil, err
	}
	rows, err := d.db.read.QueryContext(ctx, `SELECT body FROM attempts WHERE delivery = ?1
		UNION ALL SELECT attempt FROM deliveries WHERE tenant = ?2 AND id = ?1 AND attempt IS NOT NULL LIMIT 1000`, id[:], tenant)
	if err != nil {
		return nil, fault("read attempts", err)
	}
	var attempts []postrider.Attempt
	err = each(rows, func(rows *sql.Rows) error {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return err
		}
		a, err := decodeAttempt(body)
		attempts = append(attempts, a)
		return err
	})
	sort.SliceStable(attempts, func(i, j int) bool {
		if attempts[i].Number != attempts[j].Number {
			return attempts[i].Number < attempts[j].Number
		}
		return attempts[i].StartedAt.Before(attempts[j].StartedAt)
	})
	return attempts, fault("read attempts", err)
}
