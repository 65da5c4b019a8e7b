package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
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

	// What is in the delivery's row already is not stored beside it. The row is looked for by its key, as below.
	mergeAttempts = `INSERT INTO attempts (delivery, ` + attemptColumns + `)
	SELECT a.id, a.number, a.started_at, a.duration, a.status, a.class, a.error, a.head
	FROM unnest($1::text[], $2::uuid[], $3::integer[], $4::timestamptz[], $5::bigint[], $6::integer[], $7::text[], $8::text[], $9::bytea[])
		AS a (tenant, id, ` + attemptColumns + `)
	LEFT JOIN LATERAL (SELECT d.number, d.started_at FROM deliveries d WHERE d.tenant = a.tenant AND d.id = a.id LIMIT 1) d ON true
	WHERE (d.number, d.started_at) IS DISTINCT FROM (a.number, a.started_at)
	ON CONFLICT DO NOTHING`

	mergeHeads = `INSERT INTO events AS e (` + headColumns + `)
	SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::bigint[], $5::boolean[], $6::text[], $7::text[], $8::text[], $9::text[])
	ON CONFLICT (key, accepted_at, position) DO UPDATE SET fanned = true WHERE excluded.fanned AND NOT e.fanned`

	// A row is looked for by its key, one by one (LATERAL with LIMIT: the planner has no choice). A join left it to estimates, and of what
	// was accepted since the last ANALYZE, which is what is archived, there seems to be nothing: so it read that span by another index and
	// held each of its rows against the whole batch.
	knownDeliveries = `SELECT d.id FROM unnest($1::text[], $2::uuid[]) AS r (tenant, id)
	CROSS JOIN LATERAL (SELECT d.id FROM deliveries d WHERE d.tenant = r.tenant AND d.id = r.id AND d.id >= $3 AND d.id <= $4 LIMIT 1) d`
	knownHeads = `SELECT e.key, e.accepted_at, e.position FROM unnest($1::bigint[], $2::timestamptz[], $3::text[]) AS h (key, accepted_at, position)
	CROSS JOIN LATERAL (SELECT e.key, e.accepted_at, e.position FROM events e
		WHERE e.key = h.key AND e.accepted_at = h.accepted_at AND e.position = h.position AND e.accepted_at >= $4 AND e.accepted_at <= $5 LIMIT 1) e`
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

// copyFrom is how many rows a batch must have for COPY to be worth its round trips.
const copyFrom = 100

// write stores what is staged. What the tables do not have yet goes in by COPY, if it is much; where another archiver stores the same
// at this moment, that fails with 23505, unique_violation.
func (d *Database) write(ctx context.Context, tx pgx.Tx, s *staged, way way) error {
	known, err := s.known(ctx, tx, way)
	if err != nil {
		return err
	}
	heads := s.withStubs(known)
	old, oldHeads := s.rows, heads
	if way == together && len(s.rows) >= copyFrom {
		var fresh []row
		var freshHeads []head
		fresh, old = split(s.rows, func(r *row) bool { return !known.deliveries[r.Record.ID] })
		freshHeads, oldHeads = split(heads, func(h *head) bool { return !known.heads[h.mark()] })
		if err := d.copy(ctx, tx, fresh, freshHeads); err != nil {
			return err
		}
	}
	return d.merge(ctx, tx, old, oldHeads)
}

func split[T any](list []T, first func(*T) bool) (yes, no []T) {
	for i := range list {
		if first(&list[i]) {
			yes = append(yes, list[i])
		} else {
			no = append(no, list[i])
		}
	}
	return yes, no
}

// merge stores rows that the tables may have.
func (d *Database) merge(ctx context.Context, tx pgx.Tx, rows []row, heads []head) error {
	b := &pgx.Batch{}
	if len(heads) > 0 {
		b.Queue(mergeHeads, headArrays(heads)...)
	}
	attempts, n := attemptArrays(rows)
	if len(rows) > 0 {
		b.Queue(mergeDeliveries, rowArrays(rows)...)
	}
	if n > 0 {
		b.Queue(mergeAttempts, attempts...)
	}
	if b.Len() == 0 {
		return nil
	}
	d.metrics.archived("merge", len(rows), n, len(heads))
	return tx.SendBatch(ctx, b).Close()
}

// copy stores rows that the tables do not have.
func (d *Database) copy(ctx context.Context, tx pgx.Tx, rows []row, heads []head) error {
	beside := ownedBy(rows, 2) // the only attempt of a delivery goes into its row
	for _, c := range []struct {
		table, columns string
		source         pgx.CopyFromSource
		n              int
	}{
		{"events", headColumns, copySource(heads, (*head).values), len(heads)},
		{"deliveries", deliveryColumns + ", " + attemptColumns, copySource(rows, (*row).values), len(rows)},
		{"attempts", "delivery, " + attemptColumns, copySource(beside, (*owned).values), len(beside)},
	} {
		if c.n == 0 {
			continue
		}
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{c.table}, strings.Split(c.columns, ", "), c.source); err != nil {
			return err
		}
	}
	d.metrics.archived("copy", len(rows), len(ownedBy(rows, 1)), len(heads))
	return nil
}

func copySource[T any](list []T, values func(*T) []any) pgx.CopyFromSource {
	return pgx.CopyFromSlice(len(list), func(i int) ([]any, error) { return values(&list[i]), nil })
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

// values are a head's columns.
func (h *head) values() []any {
	return []any{h.key, h.accepted, text(string(h.Position)), h.Size, h.fanned, h.tenant, text(h.ID), text(h.Type), text(h.ContentType)}
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
