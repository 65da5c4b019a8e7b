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

// Where no index has all that a list asks for, it looks at so many rows at a time, and for so long; then it ends short, and goes on
// from there with the next page.
const (
	looksAt  = 10_000
	looksFor = time.Second
)

// Deliveries lists newest first; see postrider.Archive.
func (d *Database) Deliveries(ctx context.Context, tenant string, q postrider.DeliveryQuery) ([]postrider.DeliveryRecord, string, error) {
	defer d.metrics.time("deliveries")()
	ctx, cancel := bounded(ctx, callTime)
	defer cancel()
	l, err := newList(d.clock(), tenant, q)
	if err == nil && q.EventID != "" {
		err = d.spansOf(ctx, l, q.EventID)
	}
	if err != nil {
		return nil, "", fault(ctx, "list deliveries", err)
	}
	var records []postrider.DeliveryRecord
	begun := time.Now()
	for {
		found, next, err := d.look(ctx, l, l.limit-len(records))
		if err != nil {
			return nil, "", fault(ctx, "list deliveries", err)
		}
		records = append(records, found...)
		switch {
		case next == firstID:
			return records, "", nil
		case len(records) == l.limit || time.Since(begun) > looksFor:
			return records, hex.EncodeToString(next[:]), nil
		}
		l.ids.to = next
	}
}

// look reads at most limit deliveries. next is the id before which the list goes on, or firstID at its end.
func (d *Database) look(ctx context.Context, l *list, limit int) (found []postrider.DeliveryRecord, next postrider.DeliveryID, err error) {
	days := d.days.span()
	sql := l.query(days, limit+1)
	if sql == "" {
		return nil, firstID, nil
	}
	rows, err := d.pool.Query(ctx, sql, l.args)
	err = each(rows, err, func(row pgx.Row) error {
		r, err := scanDelivery(row)
		found = append(found, r)
		return err
	})
	if err != nil || len(found) > limit {
		found = found[:min(limit, len(found))]
		return found, last(found), err
	}
	if len(l.rest) == 0 {
		return found, firstID, nil
	}
	rows, err = d.pool.Query(ctx, l.reached(days), l.args)
	err = each(rows, err, func(row pgx.Row) error {
		var id postrider.DeliveryID
		err := row.Scan((*[16]byte)(&id))
		if less(next, id) {
			next = id
		}
		return err
	})
	for len(found) > 0 && less(last(found), next) { // it comes with the next page
		found = found[:len(found)-1]
	}
	return found, next, err
}

func last(records []postrider.DeliveryRecord) postrider.DeliveryID {
	if len(records) == 0 {
		return firstID
	}
	return records[len(records)-1].ID
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
	ids   span     // of what is asked for, by time and cursor
	only  []span   // of the event that is asked for; nil: any
	first []string // conditions that an index has: each is a branch of the query
	rest  []string // the other conditions
	args  pgx.NamedArgs
}

func newList(now time.Time, tenant string, q postrider.DeliveryQuery) (*list, error) {
	l := &list{limit: q.Limit, ids: span{firstID, lastID}, args: pgx.NamedArgs{"now": now, "tenant": tenant}}
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
	l.conditions(q)
	return l, nil
}

// conditions chooses the index that a list is read by: its first conditions are what the index has, in this order of choice. An
// event's deliveries are few, and found by their ids.
func (l *list) conditions(q postrider.DeliveryQuery) {
	states := []postrider.State{q.State}
	switch q.State {
	case "", postrider.StateDelivered:
		states = nil
	case postrider.StateDeferred:
		states = []postrider.State{postrider.StatePending, postrider.StateRetrying}
		l.rest = append(l.rest, held)
	case postrider.StatePending, postrider.StateRetrying:
		l.rest = append(l.rest, "NOT "+held)
	}
	base := "tenant = @tenant"
	l.args["target"], l.args["type"], l.args["event"], l.args["state"] = q.TargetID, q.EventType, q.EventID, string(q.State)
	if q.TargetID != 0 {
		base = ofTarget
	}
	switch {
	case q.EventType == "":
	case q.TargetID == 0 && len(states) == 0:
		base += " AND type = @type"
	default:
		l.rest = append(l.rest, "type = @type")
	}
	for _, s := range states {
		l.first = append(l.first, base+" AND state <> 'delivered' AND state = '"+string(s)+"'") // as the partial indexes have it
	}
	if len(states) == 0 {
		l.first = []string{base}
	}
	if q.State == postrider.StateDelivered {
		l.rest = append(l.rest, "state = @state")
	}
	if q.EventID != "" {
		l.rest = append(l.rest, "event_id = @event")
	}
}

// ofTarget selects the deliveries of a target by its own index. All are of one tenant, so the first that there is tells whether they
// are this one's.
const ofTarget = "target_id = @target AND tenant || '' = @tenant AND @tenant = (SELECT o.tenant FROM deliveries o WHERE o.target_id = @target LIMIT 1)"

// idAt is the least id of a time, rounded up to the milliseconds that ids have.
func idAt(at time.Time) postrider.DeliveryID {
	if rest := at.Truncate(time.Millisecond); rest.Before(at) {
		at = rest.Add(time.Millisecond)
	}
	return postrider.FirstDeliveryID(at)
}

// query writes the SELECT. days are the ids that have partitions of their own; the rest lies in the default partition. Each part
// is asked for apart, so that within the days the server goes from the newest partition to the next only when it must.
func (l *list) query(days span, limit int) string {
	return l.union(days, fmt.Sprintf(" ORDER BY id DESC LIMIT %d", limit), func(first, order string) string {
		if len(l.rest) == 0 {
			return selectDeliveries + " WHERE " + first + order
		}
		return selectFrom + "(SELECT * FROM deliveries WHERE " + first + fmt.Sprintf(" ORDER BY id DESC LIMIT %d) d WHERE ", looksAt) + strings.Join(l.rest, " AND ") + order
	})
}

// reached writes the SELECT of the ids that the branches of a query have got to that looked at as many rows as they may: a little
// before their last ones, since some may have been removed since.
func (l *list) reached(days span) string {
	return l.union(days, "", func(first, _ string) string {
		return "SELECT id FROM deliveries WHERE " + first + fmt.Sprintf(" ORDER BY id DESC OFFSET %d LIMIT 1", looksAt*3/4)
	})
}

// union joins the branches of a query; "" if there are none.
func (l *list) union(days span, order string, branch func(first, order string) string) string {
	var parts []string
	for i, s := range l.spans(days) {
		from, to := fmt.Sprintf("from%d", i), fmt.Sprintf("to%d", i)
		l.args[from], l.args[to] = [16]byte(s.from), [16]byte(s.to)
		for _, first := range l.first {
			parts = append(parts, "("+branch(fmt.Sprintf("%s AND id >= @%s AND id < @%s", first, from, to), order)+")")
		}
	}
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	return strings.Join(parts, " UNION ALL ") + order
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
	tenant := l.args["tenant"]
	l.only = []span{}
	rows, err := d.pool.Query(ctx, `SELECT DISTINCT accepted_at FROM events WHERE key = $1 AND tenant = $2 AND id = $3 AND accepted_at >= $4 AND accepted_at <= $5
		ORDER BY accepted_at DESC LIMIT $6`, eventKey(tenant.(string), eventID), tenant, eventID, l.ids.from.AcceptedAt(), l.ids.to.AcceptedAt(), maxTimes)
	return each(rows, err, func(row pgx.Row) error {
		var at time.Time
		err := row.Scan(&at)
		l.only = append(l.only, span{postrider.FirstDeliveryID(at), postrider.FirstDeliveryID(at.Add(time.Millisecond))})
		return err
	})
}
