package postgres

import (
	"context"
	"errors"
	"sort"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider/postrider"
)

// Archive stores a batch and how far it goes; see postrider.Archive. A call that failed may have stored it all the same, which
// does no harm.
func (d *Database) Archive(ctx context.Context, b *postrider.OutcomeBatch) error {
	defer d.metrics.time("archive")()
	ctx, cancel := bounded(ctx, archiveTime)
	defer cancel()
	s := stage(b.Outcomes)
	way := together
	var err error
	for range changeTries {
		err = pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error { return d.store(ctx, tx, b, s, way) })
		state := stateOf(err)
		if state != "40001" && state != "40P01" && state != "23505" {
			break
		}
		way = alone
	}
	return fault(ctx, "archive", err)
}

// way is how a batch is stored. Archivers work together, of which none meets another's rows but while a partition changes hands. Then
// COPY finds that the other was first, or each waits for a row that the other holds, and the server ends one of them. That one
// tries again alone: when the others have ended their transactions, and before any begins another.
type way string

const (
	together way = "SELECT pg_advisory_xact_lock_shared(" + archiveLock + ")"
	alone    way = "SELECT pg_advisory_xact_lock(" + archiveLock + ")"
)

// archiveLock is one in each schema.
const archiveLock = "hashtextextended('postrider.archive.' || current_schema(), 0)"

func (d *Database) store(ctx context.Context, tx pgx.Tx, b *postrider.OutcomeBatch, s *staged, way way) error {
	if len(s.rows) > 0 || len(s.heads) > 0 {
		if err := d.write(ctx, tx, s, way); err != nil {
			return err
		}
	}
	if b.End == "" {
		return nil
	}
	_, err := tx.Exec(ctx, `INSERT INTO archived (partition, position, through) VALUES ($1, $2, $3)
		ON CONFLICT (partition) DO UPDATE SET position = excluded.position, through = greatest(archived.through, excluded.through)`,
		b.Partition, string(b.End), when(b.Through))
	return err
}

// staged is a batch as it is written: rows in the order of their keys, so that neighbours in an index are written together, and two
// archivers seldom wait for each other in a ring.
type staged struct {
	rows  []row
	heads []head
}

// row is what a batch says of one delivery.
type row struct {
	postrider.Folded
	fanned bool // its fan-out is in the batch, so that it is likely to be new
}

// head is what a batch says of an event.
type head struct {
	key      int64
	accepted time.Time
	tenant   string
	fanned   bool
	postrider.EventHead
}

func stage(outcomes []postrider.Outcome) *staged {
	folded, fanOuts := postrider.Fold(outcomes)
	fanned := make(map[postrider.DeliveryID]struct{}, len(folded))
	s := &staged{rows: make([]row, len(folded)), heads: make([]head, 0, len(fanOuts))}
	for _, o := range fanOuts {
		s.heads = append(s.heads, headOf(o.Tenant, &o.Event, true))
		event := postrider.Event{ID: o.Event.ID, Tenant: o.Tenant, Position: o.Event.Position, AcceptedAt: o.Event.AcceptedAt}
		for _, list := range [][]int64{o.Targets, o.Off} {
			for _, target := range list {
				fanned[postrider.NewDeliveryID(&event, target)] = struct{}{}
			}
		}
	}
	for i := range folded {
		_, there := fanned[folded[i].Record.ID]
		s.rows[i] = row{folded[i], there}
	}
	sort.Slice(s.rows, func(i, j int) bool {
		a, b := &s.rows[i].Record, &s.rows[j].Record
		if a.Tenant != b.Tenant {
			return a.Tenant < b.Tenant
		}
		return string(a.ID[:]) < string(b.ID[:])
	})
	s.heads = distinct(s.heads)
	return s
}

// distinct sorts heads by their keys and leaves one of each.
func distinct(heads []head) []head {
	sort.Slice(heads, func(i, j int) bool {
		a, b := &heads[i], &heads[j]
		if a.key != b.key {
			return a.key < b.key
		}
		if !a.accepted.Equal(b.accepted) {
			return a.accepted.Before(b.accepted)
		}
		return a.Position < b.Position
	})
	kept := heads[:0]
	for i := range heads {
		if n := len(kept); n > 0 && kept[n-1].key == heads[i].key && kept[n-1].accepted.Equal(heads[i].accepted) && kept[n-1].Position == heads[i].Position {
			kept[n-1].fanned = kept[n-1].fanned || heads[i].fanned
			continue
		}
		kept = append(kept, heads[i])
	}
	return kept
}

func headOf(tenant string, e *postrider.EventHead, fanned bool) head {
	return head{key: eventKey(tenant, e.ID), accepted: acceptedAt(e.AcceptedAt), tenant: tenant, fanned: fanned, EventHead: *e}
}

// acceptedAt is an acceptance time as ids have it, so that an event and its deliveries are of one day.
func acceptedAt(at time.Time) time.Time { return postrider.FirstDeliveryID(at).AcceptedAt() }

// ArchivedTo is the end of the last batch of a partition; see postrider.Archive.
func (d *Database) ArchivedTo(ctx context.Context, partition string) (postrider.Position, error) {
	ctx, cancel := bounded(ctx, callTime)
	defer cancel()
	var position string
	err := d.pool.QueryRow(ctx, "SELECT position FROM archived WHERE partition = $1", partition).Scan(&position)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return postrider.Position(position), fault(ctx, "read the archive's position", err)
}

// AsOf is the time up to which the outcomes of every partition are stored; see postrider.Archive.
func (d *Database) AsOf(ctx context.Context) (time.Time, error) {
	defer d.metrics.time("asof")()
	ctx, cancel := bounded(ctx, callTime)
	defer cancel()
	var least *time.Time
	err := d.pool.QueryRow(ctx, "SELECT CASE WHEN bool_and(through IS NOT NULL) THEN min(through) END FROM archived").Scan(&least)
	if least == nil {
		return time.Time{}, fault(ctx, "read the archive's position", err)
	}
	return least.UTC(), fault(ctx, "read the archive's position", err)
}
