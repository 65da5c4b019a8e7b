package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/postrider/postrider"
)

const (
	rowDelay    = 800 * time.Millisecond // how long a fan-out's deliveries have no row of their own: most end within it, and then cost one insert; they are to be seen within a second
	mostWaiting = 16 << 10               // of them
)

// store merges outcomes into the tables. It is used by the writer only.
type store struct {
	db      *DB
	pending map[postrider.DeliveryID]waiting // of fan-outs; no row yet
	order   []postrider.DeliveryID           // of pending, by age
	recent  recent                           // have a row that an attempt made
	timer   *time.Timer
	last    bool // the DB closes: nothing waits any longer
}

type waiting struct {
	record postrider.DeliveryRecord
	since  time.Time
}

func newStore(db *DB) *store {
	s := &store{db: db, pending: map[postrider.DeliveryID]waiting{}}
	s.timer = time.AfterFunc(time.Hour, db.writer.nudge)
	s.timer.Stop()
	return s
}

// apply merges outcomes. With lazy, deliveries that are merely pending get their row later, unless they end before.
func (s *store) apply(t *tx, outcomes []postrider.Outcome, lazy bool) error {
	folded, fanOuts := postrider.Fold(outcomes)
	for _, f := range fanOuts {
		if err := s.insertHead(t, f); err != nil {
			return err
		}
	}
	var stored, early []postrider.DeliveryID
	var fresh, others []*postrider.Folded
	for i := range folded {
		f := &folded[i]
		if lazy && f.Record.State == postrider.StatePending && f.Record.Generation == 0 && len(f.Attempts) == 0 {
			if !s.recent.has(f.Record.ID) {
				s.wait(f.Record)
			}
			continue
		}
		if _, waits := s.pending[f.Record.ID]; waits {
			stored, fresh = append(stored, f.Record.ID), append(fresh, f)
			continue
		}
		others = append(others, f)
		if lazy {
			early = append(early, f.Record.ID)
		}
	}
	if err := s.merge(t, fresh, asNew); err != nil {
		return err
	}
	if err := s.merge(t, others, asAny); err != nil {
		return err
	}
	s.forget(t, stored, 0)
	if len(early) > 0 {
		t.onCommit(func() { s.recent.add(early) })
	}
	return nil
}

// forget ends the waiting of deliveries once they have a row for good, and drops the first of the order.
func (s *store) forget(t *tx, stored []postrider.DeliveryID, first int) {
	if len(stored) == 0 && first == 0 {
		return
	}
	t.onCommit(func() {
		for _, id := range stored {
			delete(s.pending, id)
		}
		s.order = s.order[first:]
	})
}

func (s *store) wait(r postrider.DeliveryRecord) {
	if _, there := s.pending[r.ID]; there {
		return
	}
	if len(s.order) == 0 {
		s.timer.Reset(rowDelay)
	}
	s.pending[r.ID] = waiting{r, time.Now()}
	s.order = append(s.order, r.ID)
}

// flush makes rows of what has been pending for long. It runs once in every group, at its end.
func (s *store) flush(t *tx) error {
	before := time.Now()
	if !s.last {
		before = before.Add(-rowDelay)
	}
	if len(s.order) > 0 {
		s.timer.Reset(rowDelay) // for what is written here, if this group fails
	}
	n := 0
	var late []*postrider.Folded
	for ; n < len(s.order); n++ {
		w, there := s.pending[s.order[n]]
		if !there {
			continue
		}
		if w.since.After(before) && len(s.order)-n <= mostWaiting {
			s.timer.Reset(w.since.Sub(before)) // however often groups come meanwhile
			break
		}
		late = append(late, &postrider.Folded{Record: w.record})
	}
	if err := s.merge(t, late, asNew); err != nil {
		return err
	}
	s.forget(t, s.order[:n], n)
	return nil
}

// insertHead stores what a fan-out tells of its event, once. An event of this file's own log needs none: the log has it for
// as long as a head would be kept.
func (s *store) insertHead(t *tx, o *postrider.Outcome) error {
	e := &o.Event
	var there bool
	key := idKey(o.Tenant, e.ID)
	if at, err := parsePosition(e.Position); err == nil {
		if s.db.events.hasRecent(at, o.Tenant, e.ID) {
			return nil
		}
		err := t.row("SELECT EXISTS (SELECT 1 FROM events WHERE position = ? AND tenant = ? AND id = ?)", []any{at, o.Tenant, e.ID}, &there)
		if err != nil || there {
			return err
		}
	}
	err := t.row("SELECT EXISTS (SELECT 1 FROM event_heads WHERE id_hash IN (?, ?) AND tenant = ? AND id = ? AND position = ?)",
		[]any{key, idHash(o.Tenant, e.ID), o.Tenant, e.ID, string(e.Position)}, &there)
	if err != nil || there {
		return err
	}
	return t.exec("INSERT INTO event_heads (id_hash, tenant, id, type, content_type, accepted_at, position, size) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		key, o.Tenant, e.ID, e.Type, e.ContentType, max(e.AcceptedAt.UnixMilli(), 0), string(e.Position), e.Size) // no less than in the ids of its deliveries
}

func millisOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Archive stores a batch and how far it goes; see postrider.Archive.
func (d *database) Archive(ctx context.Context, b *postrider.OutcomeBatch) error {
	return d.db.writer.do(ctx, func(t *tx) error {
		if err := d.db.outcomes.store.apply(t, b.Outcomes, false); err != nil {
			return err
		}
		if b.End == "" {
			return nil
		}
		return t.exec(`INSERT INTO archived (partition, position, through) VALUES (?, ?, ?)
			ON CONFLICT (partition) DO UPDATE SET position = excluded.position, through = max(through, excluded.through)`,
			b.Partition, string(b.End), microsOf(b.Through))
	})
}

func microsOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// ArchivedTo is the end of the last batch of a partition; see postrider.Archive.
func (d *database) ArchivedTo(ctx context.Context, partition string) (postrider.Position, error) {
	var position string
	err := d.db.read.QueryRowContext(ctx, "SELECT position FROM archived WHERE partition = ?", partition).Scan(&position)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return postrider.Position(position), fault("read the archive's position", err)
}

// AsOf is the time up to which outcomes are stored. Where outcomes are written straight into the tables, it is now.
func (d *database) AsOf(ctx context.Context) (time.Time, error) {
	if d.db.outcomes.direct.Load() {
		return d.db.clock().UTC(), nil
	}
	var least sql.NullInt64
	if err := d.db.read.QueryRowContext(ctx, "SELECT min(through) FROM archived").Scan(&least); err != nil {
		return time.Time{}, fault("read the archive's position", err)
	}
	if !least.Valid || least.Int64 == 0 {
		return time.Time{}, nil
	}
	return time.UnixMicro(least.Int64).UTC(), nil
}
