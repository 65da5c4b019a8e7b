package bench

import (
	"fmt"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/app"
)

const (
	archiverToReach = 0.5
	archiveEvents   = 50_000 // of one measurement, each with one attempt
	archiveTenants  = 50
	archiveTypes    = 20
	archiveTargets  = 200

	outcomesStored = "postrider_archive_outcomes_total"
	batchesStored  = "postrider_archive_batches_total"
)

// archiver compares an archiver that catches up on deliveries which succeeded at once with a bare COPY of the rows that it made, into
// the same indexed tables.
func archiver(r *run) error {
	a, err := r.apart()
	if err != nil {
		return err
	}
	copies, err := r.startCopies(a)
	if err != nil {
		return err
	}
	defer copies.close()
	var ratios, ours, bare []float64
	for i := range pairs + 1 {
		first := i * archiveEvents
		if err := r.withEngines(func(e *app.Engines) error { return r.recordUsual(e, first) }); err != nil {
			return fmt.Errorf("recording outcomes: %w", err)
		}
		rate, batches, err := r.archived()
		if err != nil {
			return err
		}
		copied, err := copies.measure(r.ctx, usualID(first), usualID(first+archiveEvents), batches)
		if err != nil {
			return err
		}
		r.tell("archived %.0f attempts/s in %d batches, copied %.0f rows/s", rate, batches, copied)
		if i > 0 {
			ratios, ours, bare = append(ratios, rate/copied), append(ours, rate), append(bare, copied)
		}
	}
	r.atLeast("attempts stored/s ÷ bare COPY of the same rows", median(ratios), "ratio", archiverToReach)
	r.figure("attempts stored", median(ours), "/s")
	r.figure("bare COPY: attempts", median(bare), "/s")
	return r.rowSizes(copies)
}

func (r *run) rowSizes(c *copies) error {
	for _, row := range [][2]string{{"deliveries", "a delivery, its attempt and indexes included"}, {"events", "an event, its indexes included"}} {
		size, err := c.size(r.ctx, row[0])
		if err != nil {
			return err
		}
		r.figure(row[1], size/((pairs+1)*archiveEvents), "bytes")
	}
	return nil
}

// archived starts an archiver, and returns the attempts a second from its first transaction to its last, and how many those were.
func (r *run) archived() (rate float64, batches int, err error) {
	s, err := r.serveRoles([]string{"archiver"})
	if err != nil {
		return 0, 0, err
	}
	defer s.stop()
	var early float64 // stored when it was first seen to have stored any
	begun, err := s.watch("the first outcome's being stored", func(m metrics) bool {
		early = m.sum(outcomesStored)
		return early > 0
	})
	if err != nil {
		return 0, 0, err
	}
	_, err = s.watch("the last outcome's being stored", func(m metrics) bool {
		batches = int(m.sum(batchesStored))
		return m.sum(outcomesStored) >= 2*archiveEvents
	})
	return (2*archiveEvents - early) / 2 / time.Since(begun).Seconds(), max(batches, 1), err
}

// recordUsual records the outcomes of deliveries that succeed at once, one an event, from number first on.
func (r *run) recordUsual(e *app.Engines, first int) error {
	var commits []*postrider.Commit
	for at := first; at < first+archiveEvents; at += seedStep {
		commit, err := e.Outcomes.Record(r.ctx, usual(at, min(seedStep, first+archiveEvents-at)))
		if err != nil {
			return err
		}
		commits = append(commits, commit)
	}
	for _, c := range commits {
		if err := c.Wait(r.ctx); err != nil {
			return err
		}
	}
	return nil
}

// usualID is the id of an event; they are in the order of their numbers.
func usualID(n int) string { return fmt.Sprintf("evt_%024d", n) }

// usual makes the outcomes of n deliveries, a fan-out and an attempt each, from number i on.
func usual(i, n int) []postrider.Outcome {
	now := time.Now().UTC().Truncate(time.Millisecond)
	list := make([]postrider.Outcome, 0, 2*n)
	for ; n > 0; n, i = n-1, i+1 {
		e := &postrider.Event{ID: usualID(i), Tenant: fmt.Sprintf("tenant%d", i%archiveTenants), Type: fmt.Sprintf("core.orders.created%d.v1", i%archiveTypes),
			AcceptedAt: now, ContentType: "application/json", Position: postrider.Position(fmt.Sprintf("%d/%d/1767323045000", i%12, i)),
			Payload: postrider.Payload{Size: benchSize}}
		target := int64(1000 + i%archiveTargets)
		list = append(list,
			postrider.Outcome{Kind: postrider.OutcomeFanOut, At: now, Tenant: e.Tenant, Event: e.Head(), Targets: []int64{target}},
			postrider.Outcome{Kind: postrider.OutcomeAttempt, At: now.Add(50 * time.Millisecond), Tenant: e.Tenant, Event: e.Head(),
				DeliveryID: postrider.NewDeliveryID(e, target), TargetID: target, Attempts: 1, State: postrider.StateDelivered,
				Attempt: &postrider.Attempt{Number: 1, StartedAt: now.Add(20 * time.Millisecond), Duration: 30 * time.Millisecond, Class: postrider.ClassOK,
					Status: 200, Head: []byte(`{"ok":true}`)}})
	}
	return list
}
