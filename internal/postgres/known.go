package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider/postrider"
)

// known is what of a batch the tables have already.
type known struct {
	deliveries map[postrider.DeliveryID]bool
	heads      map[mark]bool
}

// mark is what tells an event from all others.
type mark struct {
	key      int64
	accepted int64 // milliseconds
	position postrider.Position
}

func (h *head) mark() mark { return mark{h.key, h.accepted.UnixMilli(), h.Position} }

// known asks the tables, within the span of the batch's acceptance times, so that other days are left alone. It takes the lock first.
func (s *staged) known(ctx context.Context, tx pgx.Tx, way way) (known, error) {
	k := known{make(map[postrider.DeliveryID]bool), make(map[mark]bool)}
	b := &pgx.Batch{}
	b.Queue(string(way))
	if len(s.rows) > 0 {
		least, most := s.rows[0].Record.ID, s.rows[0].Record.ID
		for i := range s.rows {
			if id := s.rows[i].Record.ID; less(id, least) {
				least = id
			} else if less(most, id) {
				most = id
			}
		}
		b.Queue(knownDeliveries, column(s.rows, func(r *row) string { return r.Record.Tenant }), column(s.rows, func(r *row) [16]byte { return r.Record.ID }),
			[16]byte(least), [16]byte(most)).Query(k.readDeliveries)
	}
	if len(s.heads) > 0 {
		least, most := s.heads[0].accepted, s.heads[0].accepted
		for i := range s.heads {
			if at := s.heads[i].accepted; at.Before(least) {
				least = at
			} else if at.After(most) {
				most = at
			}
		}
		b.Queue(knownHeads, column(s.heads, func(h *head) int64 { return h.key }), column(s.heads, func(h *head) time.Time { return h.accepted }),
			column(s.heads, func(h *head) string { return text(string(h.Position)) }), least, most).Query(k.readHeads)
	}
	return k, tx.SendBatch(ctx, b).Close()
}

func (k known) readDeliveries(rows pgx.Rows) error {
	return each(rows, nil, func(row pgx.Row) error {
		var id postrider.DeliveryID
		err := row.Scan((*[16]byte)(&id))
		k.deliveries[id] = true
		return err
	})
}

func (k known) readHeads(rows pgx.Rows) error {
	return each(rows, nil, func(row pgx.Row) error {
		var m mark
		var at time.Time
		err := row.Scan(&m.key, &at, (*string)(&m.position))
		m.accepted = at.UnixMilli()
		k.heads[m] = true
		return err
	})
}

// withStubs adds the heads of events whose fan-out is not there yet, of deliveries that are new: a list by event finds them. Such a
// head may be known.
func (s *staged) withStubs(k known) []head {
	heads := s.heads[:len(s.heads):len(s.heads)]
	for i := range s.rows {
		if r := &s.rows[i]; !r.fanned && !k.deliveries[r.Record.ID] {
			h := headOf(r.Record.Tenant, &r.Record.Event, false)
			k.heads[h.mark()] = true // it was not asked for
			heads = append(heads, h)
		}
	}
	if len(heads) > len(s.heads) {
		heads = distinct(heads)
	}
	return heads
}
