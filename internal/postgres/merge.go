package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider/postrider"
)

const (
	deliveryColumns = "tenant, id, target_id, size, updated_at, next_at, generation, attempts, state, reason, event_id, type, content_type, position"
	attemptColumns  = "number, started_at, duration, status, class, error, head"
	headColumns     = "key, accepted_at, position, size, fanned, tenant, id, type, content_type"
)

// newer is the rule of postrider.DeliveryRecord.Newer.
var newer = "(excluded.generation, " + rank("excluded.state") + ", excluded.attempts, excluded.updated_at) > (d.generation, " + rank("d.state") + ", d.attempts, d.updated_at)"

func rank(state string) string {
	return "CASE " + state + " WHEN 'delivered' THEN 2 WHEN 'exhausted' THEN 1 WHEN 'cancelled' THEN 1 ELSE 0 END"
}

var (
	mergeDeliveries = `INSERT INTO deliveries AS d (` + deliveryColumns + `, ` + attemptColumns + `)
	SELECT * FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::timestamptz[], $7::integer[], $8::integer[], $9::text[], $10::text[],
		$11::text[], $12::text[], $13::text[], $14::text[], $15::integer[], $16::timestamptz[], $17::bigint[], $18::integer[], $19::text[], $20::text[], $21::bytea[])
	ON CONFLICT (tenant, id) DO UPDATE SET (generation, attempts, state, reason, next_at, updated_at, ` + attemptColumns + `) =
		(excluded.generation, excluded.attempts, excluded.state, excluded.reason, excluded.next_at, excluded.updated_at, ` + firstAttempt() + `)
	WHERE ` + newer

	// What is in the delivery's row already is not stored beside it.
	mergeAttempts = `INSERT INTO attempts (delivery, ` + attemptColumns + `)
	SELECT a.id, a.number, a.started_at, a.duration, a.status, a.class, a.error, a.head
	FROM unnest($1::text[], $2::uuid[], $3::integer[], $4::timestamptz[], $5::bigint[], $6::integer[], $7::text[], $8::text[], $9::bytea[])
		AS a (tenant, id, ` + attemptColumns + `)
	LEFT JOIN deliveries d ON d.tenant = a.tenant AND d.id = a.id
	WHERE (d.number, d.started_at) IS DISTINCT FROM (a.number, a.started_at)
	ON CONFLICT DO NOTHING`

	mergeHeads = `INSERT INTO events AS e (` + headColumns + `)
	SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::bigint[], $5::boolean[], $6::text[], $7::text[], $8::text[], $9::text[])
	ON CONFLICT (key, accepted_at, position) DO UPDATE SET fanned = true WHERE excluded.fanned AND NOT e.fanned`

	knownDeliveries = `SELECT d.id FROM unnest($1::text[], $2::uuid[]) AS r (tenant, id) JOIN deliveries d ON d.tenant = r.tenant AND d.id = r.id`
)

// firstAttempt keeps the attempt that a row has; one that has none takes the new one.
func firstAttempt() string {
	var b strings.Builder
	for i, column := range strings.Split(attemptColumns, ", ") {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("CASE WHEN d.number IS NULL THEN excluded." + column + " ELSE d." + column + " END")
	}
	return b.String()
}

// merge stores what is staged.
func (d *Database) merge(ctx context.Context, tx pgx.Tx, s *staged) error {
	heads, err := d.withStubs(ctx, tx, s)
	if err != nil {
		return err
	}
	b := &pgx.Batch{}
	if len(heads) > 0 {
		b.Queue(mergeHeads, headArrays(heads)...)
	}
	if len(s.rows) > 0 {
		b.Queue(mergeDeliveries, rowArrays(s.rows)...)
		if arrays, n := attemptArrays(s.rows); n > 0 {
			b.Queue(mergeAttempts, arrays...)
		}
	}
	d.metrics.rows.WithLabelValues("deliveries", "merge").Add(float64(len(s.rows)))
	return tx.SendBatch(ctx, b).Close()
}

// withStubs adds the heads of events whose fan-out is not there yet, of deliveries that are new: a list by event finds them.
func (d *Database) withStubs(ctx context.Context, tx pgx.Tx, s *staged) ([]head, error) {
	var tenants []string
	var ids []postrider.DeliveryID
	for i := range s.rows {
		if !s.rows[i].fanned {
			tenants, ids = append(tenants, s.rows[i].Record.Tenant), append(ids, s.rows[i].Record.ID)
		}
	}
	if len(ids) == 0 {
		return s.heads, nil
	}
	known := make(map[postrider.DeliveryID]bool, len(ids))
	rows, err := tx.Query(ctx, knownDeliveries, tenants, ids)
	err = each(rows, err, func(row pgx.Row) error {
		var id postrider.DeliveryID
		err := row.Scan((*[16]byte)(&id))
		known[id] = true
		return err
	})
	heads := append([]head(nil), s.heads...)
	for i := range s.rows {
		if r := &s.rows[i]; !r.fanned && !known[r.Record.ID] {
			heads = append(heads, headOf(r.Record.Tenant, &r.Record.Event, false))
		}
	}
	if len(heads) > len(s.heads) {
		heads = distinct(heads)
	}
	return heads, err
}

// eventKey is a hash of a tenant and an event's id.
func eventKey(tenant, id string) int64 {
	sum := sha256.Sum256([]byte(tenant + "\x00" + id))
	return int64(binary.BigEndian.Uint64(sum[:]))
}

// column makes an array of one column of rows.
func column[R, T any](rows []R, value func(*R) T) []T {
	list := make([]T, len(rows))
	for i := range rows {
		list[i] = value(&rows[i])
	}
	return list
}

func headArrays(heads []head) []any {
	return []any{
		column(heads, func(h *head) int64 { return h.key }), column(heads, func(h *head) time.Time { return h.accepted }),
		column(heads, func(h *head) string { return text(string(h.Position)) }), column(heads, func(h *head) int64 { return h.Size }),
		column(heads, func(h *head) bool { return h.fanned }), column(heads, func(h *head) string { return h.tenant }),
		column(heads, func(h *head) string { return text(h.ID) }), column(heads, func(h *head) string { return text(h.Type) }),
		column(heads, func(h *head) string { return text(h.ContentType) }),
	}
}
