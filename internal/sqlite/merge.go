package sqlite

import (
	"strings"

	"github.com/postrider/postrider"
)

// deliveryRows is how many deliveries one statement stores, where there are as many.
const deliveryRows = 8

const (
	deliveryColumns = "tenant, id, event_id, type, content_type, position, size, target_id, generation, attempts, state, reason, next_at, updated_at"
	deliveryValues  = 15
	oneDelivery     = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	intoDeliveries  = " INTO deliveries (" + deliveryColumns + ", attempt) VALUES " + oneDelivery
	severalMore     = ", " + oneDelivery
	rank            = "CASE %s WHEN 'delivered' THEN 2 WHEN 'exhausted' THEN 1 WHEN 'cancelled' THEN 1 ELSE 0 END"
)

var (
	// A delivery that ended at its first attempt, or that has none yet: a new row, or the first attempt of one that had none.
	firstOrNew = ` ON CONFLICT DO UPDATE SET attempts = excluded.attempts, state = excluded.state, reason = excluded.reason,
		next_at = excluded.next_at, updated_at = excluded.updated_at, attempt = excluded.attempt
		WHERE deliveries.attempts = 0 AND deliveries.attempt IS NULL AND deliveries.generation = excluded.generation
		AND (` + ranked("excluded.state") + `, excluded.attempts, excluded.updated_at) > (` + ranked("deliveries.state") + `, 0, deliveries.updated_at)`

	// What is likely to have no row, and anything else. The first kind needs no copy of the pages that it changes, which SQLite makes where a
	// statement might have to be undone half-way.
	asNew = newStoring("INSERT OR IGNORE"+intoDeliveries, "")
	asAny = newStoring("INSERT"+intoDeliveries, firstOrNew)

	insertDelivery = "INSERT" + intoDeliveries + " ON CONFLICT DO NOTHING"
	updateDelivery = `UPDATE deliveries SET generation = ?3, attempts = ?4, state = ?5, reason = ?6, next_at = ?7, updated_at = ?8
		WHERE tenant = ?1 AND id = ?2 AND (?3, ` + ranked("?5") + `, ?4, ?8) > (generation, ` + ranked("state") + `, attempts, updated_at)`
)

func ranked(state string) string { return strings.ReplaceAll(rank, "%s", state) }

// storing are the statements that store one delivery, and several.
type storing struct{ one, several string }

func newStoring(into, conflict string) storing {
	return storing{into + conflict, into + strings.Repeat(severalMore, deliveryRows-1) + conflict}
}

// merge stores what a batch says of deliveries, each of which is in the list once: a new row, with the attempt in it if it is the only
// one, or the greater of the row and the record, with the attempts beside it.
func (s *store) merge(t *tx, list []*postrider.Folded, as storing) error {
	simple := make([]*postrider.Folded, 0, len(list))
	for _, f := range list {
		if later := f.Record.Attempts > 1 || f.Record.Generation > 0; len(f.Attempts) < 2 && !later { // a later one has a row
			simple = append(simple, f)
		} else if err := s.mergeOne(t, f); err != nil {
			return err
		}
	}
	values := make([]any, 0, min(len(simple), deliveryRows)*deliveryValues)
	for len(simple) > 0 {
		n, query := 1, as.one
		if len(simple) >= deliveryRows {
			n, query = deliveryRows, as.several
		}
		values = values[:0]
		for _, f := range simple[:n] {
			values = appendDelivery(values, f)
		}
		stored, err := t.execCount(query, values...)
		if err != nil {
			return err
		}
		for _, f := range simple[:n] {
			t.stored = append(t.stored, targeted{f.Record.TargetID, f.Record.ID})
		}
		for _, f := range simple[:n] {
			if stored == int64(n) {
				break
			}
			if err := s.mergeOne(t, f); err != nil { // of those that were stored it changes nothing
				return err
			}
		}
		simple = simple[n:]
	}
	return nil
}

// appendDelivery appends the values of a delivery's row.
func appendDelivery(values []any, f *postrider.Folded) []any {
	r := &f.Record
	var only []byte
	if len(f.Attempts) == 1 {
		only = appendAttempt(nil, &f.Attempts[0])
	}
	return append(values, r.Tenant, r.ID[:], r.Event.ID, r.Event.Type, r.Event.ContentType, string(r.Event.Position), r.Event.Size,
		r.TargetID, r.Generation, r.Attempts, string(r.State), string(r.Reason), millisOf(r.NextAt), r.UpdatedAt.UnixMicro(), only)
}

// mergeOne merges one delivery, whatever there is of it.
func (s *store) mergeOne(t *tx, f *postrider.Folded) error {
	r := &f.Record
	n, err := t.execCount(insertDelivery, appendDelivery(nil, f)...)
	if err != nil {
		return err
	}
	if n == 1 {
		t.stored = append(t.stored, targeted{r.TargetID, r.ID})
	}
	if n == 1 && len(f.Attempts) == 1 {
		return nil
	}
	for i := range f.Attempts {
		a := &f.Attempts[i]
		if n == 0 {
			if there, err := s.inRow(t, r, a); err != nil {
				return err
			} else if there {
				continue
			}
		}
		if err := t.exec("INSERT INTO attempts (delivery, number, started_at, body) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
			r.ID[:], a.Number, a.StartedAt.UnixMicro(), appendAttempt(nil, a)); err != nil {
			return err
		}
	}
	if n == 1 {
		return nil
	}
	return t.exec(updateDelivery, r.Tenant, r.ID[:], r.Generation, r.Attempts, string(r.State), string(r.Reason), millisOf(r.NextAt), r.UpdatedAt.UnixMicro())
}

// inRow reports whether an attempt is the one in the delivery's row: the batch is stored again.
func (s *store) inRow(t *tx, r *postrider.DeliveryRecord, a *postrider.Attempt) (bool, error) {
	var body []byte
	if err := t.row("SELECT attempt FROM deliveries WHERE tenant = ? AND id = ?", []any{r.Tenant, r.ID[:]}, &body); err != nil || body == nil {
		return false, err
	}
	there, err := decodeAttempt(body) // one that can't be read is another
	return err == nil && there.Number == a.Number && there.StartedAt.UnixMicro() == a.StartedAt.UnixMicro(), nil
}
