package postgres

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider/postrider"
)

// Deliveries lists newest first; see postrider.Archive.
func (d *Database) Deliveries(ctx context.Context, tenant string, q postrider.DeliveryQuery) ([]postrider.DeliveryRecord, string, error) {
	defer d.metrics.time("deliveries")()
	ctx, cancel := bounded(ctx, callTime)
	defer cancel()
	l, err := newList(d.clock(), tenant, q)
	if err != nil {
		return nil, "", err
	}
	if q.EventID != "" {
		if err := d.spansOf(ctx, l, q.EventID); err != nil {
			return nil, "", fault(ctx, "list deliveries", err)
		}
	}
	var records []postrider.DeliveryRecord
	var next string
	sql, args := l.query(d.days.span())
	rows, err := d.pool.Query(ctx, sql, args...)
	err = each(rows, err, func(row pgx.Row) error {
		r, err := scanDelivery(row)
		if err == nil && len(records) == l.limit {
			next = hex.EncodeToString(records[l.limit-1].ID[:])
			return nil
		}
		records = append(records, r)
		return err
	})
	return records, next, fault(ctx, "list deliveries", err)
}

// span is a range of ids, from included, to not included.
type span struct{ from, to postrider.DeliveryID }

var (
	firstID = postrider.DeliveryID{}
	lastID  = postrider.DeliveryID{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff} // no hash ends so
)

func less(a, b postrider.DeliveryID) bool { return string(a[:]) < string(b[:]) }

func (s span) and(o span) span {
	if less(s.from, o.from) {
		s.from = o.from
	}
	if less(o.to, s.to) {
		s.to = o.to
	}
	return s
}

func (s span) empty() bool { return !less(s.from, s.to) }

// list is a query for deliveries.
type list struct {
	limit int
	ids   span   // of what is asked for, by time and cursor
	only  []span // of the event that is asked for; nil: any
	where []string
	args  []any // the first is now
}

func newList(now time.Time, tenant string, q postrider.DeliveryQuery) (*list, error) {
	l := &list{limit: q.Limit, ids: span{firstID, lastID}, args: []any{now}}
	if l.limit == 0 {
		l.limit = postrider.DefaultPageLimit
	}
	if q.After != "" {
		after, err := hex.DecodeString(q.After)
		if err != nil || len(after) != len(postrider.DeliveryID{}) {
			return nil, postrider.Invalid("after", "is no cursor that a list gave")
		}
		l.ids = l.ids.and(span{firstID, postrider.DeliveryID(after)})
	}
	if !q.Since.IsZero() {
		l.ids = l.ids.and(span{idAt(q.Since), lastID})
	}
	if !q.Until.IsZero() {
		l.ids = l.ids.and(span{firstID, idAt(q.Until)})
	}
	l.add("tenant = $%d", tenant)
	if q.TargetID != 0 {
		l.add("target_id = $%d", q.TargetID)
	}
	if q.EventID != "" {
		l.add("event_id = $%d", q.EventID)
	}
	if q.EventType != "" {
		l.add("type = $%d", q.EventType)
	}
	l.state(q.State)
	return l, nil
}

// idAt is the least id of a time, rounded up to the milliseconds that ids have.
func idAt(at time.Time) postrider.DeliveryID {
	if rest := at.Truncate(time.Millisecond); rest.Before(at) {
		at = rest.Add(time.Millisecond)
	}
	return postrider.FirstDeliveryID(at)
}

func (l *list) add(condition string, value any) {
	l.args = append(l.args, value)
	l.where = append(l.where, fmt.Sprintf(condition, len(l.args)))
}

// state adds the condition on the state as it is shown. The partial indexes want theirs literally.
func (l *list) state(s postrider.State) {
	switch s {
	case "":
	case postrider.StateDelivered:
		l.add("state = $%d", string(s))
	case postrider.StateDeferred:
		l.where = append(l.where, "state <> 'delivered'", held)
	case postrider.StatePending, postrider.StateRetrying:
		l.add("state <> 'delivered' AND state = $%d AND NOT "+held, string(s))
	default:
		l.add("state <> 'delivered' AND state = $%d", string(s))
	}
}

// query writes the SELECT. days are the ids that have partitions of their own; the rest lies in the default partition. Each part
// is asked for apart, so that within the days the server goes from the newest partition to the next only when it must.
func (l *list) query(days span) (sql string, args []any) {
	args = l.args
	param := func(id postrider.DeliveryID) string {
		args = append(args, [16]byte(id))
		return fmt.Sprintf("$%d", len(args))
	}
	var parts []string
	limit := l.limit + 1
	for _, s := range l.spans(days) {
		parts = append(parts, fmt.Sprintf("(%s WHERE id >= %s AND id < %s AND %s ORDER BY id DESC LIMIT %d)",
			selectDeliveries, param(s.from), param(s.to), strings.Join(l.where, " AND "), limit))
	}
	switch len(parts) {
	case 0:
		return selectDeliveries + " WHERE $1::timestamptz IS NULL", args[:1]
	case 1:
		return parts[0], args
	}
	return strings.Join(parts, " UNION ALL ") + fmt.Sprintf(" ORDER BY id DESC LIMIT %d", limit), args
}

// spans are the ranges of ids to be read: newest first, none across the ends of the days.
func (l *list) spans(days span) []span {
	wanted := l.only
	if wanted == nil {
		wanted = []span{{firstID, lastID}}
	}
	var list []span
	for _, w := range wanted {
		for _, part := range []span{{days.to, lastID}, days, {firstID, days.from}} {
			if s := w.and(l.ids).and(part); !s.empty() {
				list = append(list, s)
			}
		}
	}
	return list
}

// maxTimes bounds how many events of one id a list looks at.
const maxTimes = 100

// spansOf bounds the ids of an event's deliveries, which begin with its acceptance time. An id that was used again has more
// than one.
func (d *Database) spansOf(ctx context.Context, l *list, eventID string) error {
	tenant := l.args[1].(string)
	l.only = []span{}
	rows, err := d.pool.Query(ctx, `SELECT DISTINCT accepted_at FROM events WHERE key = $1 AND tenant = $2 AND id = $3 AND accepted_at >= $4 AND accepted_at <= $5
		ORDER BY accepted_at DESC LIMIT $6`, eventKey(tenant, eventID), tenant, eventID, l.ids.from.AcceptedAt(), l.ids.to.AcceptedAt(), maxTimes)
	return each(rows, err, func(row pgx.Row) error {
		var at time.Time
		err := row.Scan(&at)
		l.only = append(l.only, span{postrider.FirstDeliveryID(at), postrider.FirstDeliveryID(at.Add(time.Millisecond))})
		return err
	})
}
