package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

var firstAccepted = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// deliveredTo makes the outcome of a first attempt, of an event accepted n milliseconds after the first.
func deliveredTo(tenant string, target int64, n int) postrider.Outcome {
	at := firstAccepted.Add(time.Duration(n) * time.Millisecond)
	e := &postrider.Event{ID: fmt.Sprintf("evt_%d", n), Tenant: tenant, Type: "core.a", AcceptedAt: at, Position: postrider.Position(fmt.Sprint(n + 1))}
	return postrider.Outcome{Kind: postrider.OutcomeAttempt, At: at, Tenant: tenant, Event: e.Head(), DeliveryID: postrider.NewDeliveryID(e, target),
		TargetID: target, Attempts: 1, State: postrider.StateDelivered, Attempt: &postrider.Attempt{Number: 1, StartedAt: at, Class: postrider.ClassOK, Status: 200}}
}

// listedOf pages through a target's deliveries.
func listedOf(t *testing.T, db *DB, tenant string, target int64, limit int) (list []postrider.DeliveryID) {
	t.Helper()
	q := postrider.DeliveryQuery{TargetID: target, Page: postrider.Page{Limit: limit}}
	for more := true; more; more = q.After != "" {
		records, next, err := db.Database().Deliveries(t.Context(), tenant, q)
		must(t, err)
		for i := range records {
			list = append(list, records[i].ID)
		}
		q.After = next
	}
	return list
}

// TestByTargetAtAnyTime lists deliveries by their targets while they are in the tail, on their way, and in the index; in whatever order they are
// stored, some twice, with groups that fail, and with a start between. Each is listed once, newest first.
func TestByTargetAtAnyTime(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	const targets, total = 7, tailMost + 3000
	order := rng.Perm(total)
	stored := map[int64][]postrider.DeliveryID{}
	dir := t.TempDir()
	db := openDB(t, dir)
	runs := 0
	for round := 0; len(order) > 0; round++ {
		n := min(1+rng.IntN(2500), len(order))
		var group []postrider.Outcome
		for _, i := range order[:n] {
			o := deliveredTo("acme", int64(1+i%targets), i)
			group = append(group, o)
			stored[o.TargetID] = append(stored[o.TargetID], o.DeliveryID)
		}
		group = append(group, group[:rng.IntN(n)/4]...)
		fail(t, db, deliveredTo("acme", 1, total+round))
		must(t, db.Database().Archive(t.Context(), &postrider.OutcomeBatch{Outcomes: group}))
		order = order[n:]
		if round%4 == 0 {
			target := int64(1 + rng.IntN(targets))
			same(t, listedOf(t, db, "acme", target, 1+rng.IntN(2000)), stored[target])
		}
		if rng.IntN(10) == 0 {
			runs += db.byTarget.ended
			must(t, db.Close())
			db = openDB(t, dir)
		}
	}
	for _, settle := range []bool{false, true} {
		if settle {
			must(t, db.byTarget.settle(t.Context()))
			if tail, index := rowsIn(t, db, "target_tail"), rowsIn(t, db, "target_deliveries"); tail != 0 || index != total {
				t.Errorf("%d rows in the tail, %d in the index, want 0 and %d", tail, index, total)
			}
		}
		for target, want := range stored {
			same(t, listedOf(t, db, "acme", target, 1000), want)
		}
	}
	if runs += db.byTarget.ended; runs < 2 {
		t.Errorf("%d runs ended", runs)
	}
}

// fail has a group fail after it stored a delivery.
func fail(t *testing.T, db *DB, o postrider.Outcome) {
	t.Helper()
	broken := errors.New("broken")
	commit, err := db.writer.add(context.Background(), 0, func(tx *tx) error {
		return errors.Join(db.outcomes.store.apply(tx, []postrider.Outcome{o}, false), db.byTarget.write(tx), broken)
	}, nil)
	must(t, err)
	if err := commit.Wait(t.Context()); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
}

// same holds that a list has what was stored, newest first.
func same(t *testing.T, got, stored []postrider.DeliveryID) {
	t.Helper()
	want := slices.Clone(stored)
	slices.SortFunc(want, func(x, y postrider.DeliveryID) int { return compareIDs(y, x) })
	if !slices.Equal(got, want) {
		t.Fatalf("%d deliveries are listed, %d are there, or in another order", len(got), len(want))
	}
}

// TestByTargetOfAnother lists nothing of another tenant's target, whether it is there or gone.
func TestByTargetOfAnother(t *testing.T) {
	t.Parallel()
	db := openDB(t, t.TempDir())
	target := &postrider.Target{Tenant: "acme", URL: "https://example.com"}
	must(t, db.Database().CreateTarget(t.Context(), target))
	for i := range 20 {
		must(t, db.Database().Archive(t.Context(), &postrider.OutcomeBatch{Outcomes: []postrider.Outcome{
			deliveredTo("acme", target.ID, i), deliveredTo("acme", target.ID+1, i)}}))
		if i == 10 {
			must(t, db.byTarget.settle(t.Context()))
		}
	}
	for _, id := range []int64{target.ID, target.ID + 1} {
		if own, others := listedOf(t, db, "acme", id, 3), listedOf(t, db, "globex", id, 3); len(own) != 20 || len(others) != 0 {
			t.Errorf("target %d: %d of 20 for its tenant, %d for another", id, len(own), len(others))
		}
	}
}

// TestByTargetExpires: what expires leaves the index too, also what was in the tail.
func TestByTargetExpires(t *testing.T) {
	t.Parallel()
	db := openDB(t, t.TempDir())
	var batch []postrider.Outcome
	for i := range 2000 {
		if batch = append(batch, deliveredTo("acme", int64(1+i%3), i)); len(batch) == 100 {
			must(t, db.Database().Archive(t.Context(), &postrider.OutcomeBatch{Outcomes: batch}))
			batch = nil
		}
		if i == 500 {
			must(t, db.byTarget.settle(t.Context()))
		}
	}
	n, err := db.Database().Expire(t.Context(), firstAccepted.Add(1500*time.Millisecond))
	must(t, err)
	left := len(listedOf(t, db, "acme", 1, 100)) + len(listedOf(t, db, "acme", 2, 100)) + len(listedOf(t, db, "acme", 3, 100))
	if index := rowsIn(t, db, "target_deliveries"); n != 1500 || left != 500 || index != 500 {
		t.Errorf("%d expired, %d are listed, %d in the index; want 1500, 500 and 500", n, left, index)
	}
}

// TestByTargetExpiresLater: what is old and was stored after the tail was emptied stays, with its pair, until the next time.
func TestByTargetExpiresLater(t *testing.T) {
	t.Parallel()
	db := openDB(t, t.TempDir())
	must(t, db.Database().Archive(t.Context(), &postrider.OutcomeBatch{Outcomes: []postrider.Outcome{deliveredTo("acme", 1, 0), deliveredTo("acme", 1, 1)}}))
	must(t, db.byTarget.settle(t.Context()))
	must(t, db.Database().Archive(t.Context(), &postrider.OutcomeBatch{Outcomes: []postrider.Outcome{deliveredTo("acme", 1, 2)}}))
	before := firstAccepted.Add(time.Hour)
	found, removed, err := db.database.expireSome(t.Context(), "acme", before)
	must(t, err)
	if index := rowsIn(t, db, "target_deliveries"); found != 3 || removed != 2 || index != 0 {
		t.Errorf("%d found, %d removed, %d in the index; want 3, 2 and 0", found, removed, index)
	}
	n, err := db.Database().Expire(t.Context(), before)
	must(t, err)
	must(t, db.byTarget.settle(t.Context()))
	if index := rowsIn(t, db, "target_deliveries"); n != 1 || index != 0 {
		t.Errorf("%d expired, %d in the index; want 1 and 0", n, index)
	}
}

// TestByTargetOfRetries: a delivery is in the tail once, however often it is attempted.
func TestByTargetOfRetries(t *testing.T) {
	t.Parallel()
	db := openDB(t, t.TempDir())
	for n := range 8 {
		o := deliveredTo("acme", 1, 0)
		o.Attempts, o.Attempt.Number, o.State = n+1, n+1, postrider.StateRetrying
		must(t, db.Database().Archive(t.Context(), &postrider.OutcomeBatch{Outcomes: []postrider.Outcome{o}}))
	}
	if ids := db.byTarget.tail(1); len(ids) != 1 {
		t.Errorf("it is there %d times", len(ids))
	}
}

// TestByTargetWhileCommitted finds a delivery as soon as its group can be seen, which is before the writer hears of it.
func TestByTargetWhileCommitted(t *testing.T) {
	t.Parallel()
	db := openDB(t, t.TempDir())
	var tail []postrider.DeliveryID
	must(t, db.writer.do(t.Context(), func(tx *tx) error {
		tx.onCommit(func() { tail = db.byTarget.tail(1) }) // before that of the tail
		return db.outcomes.store.apply(tx, []postrider.Outcome{deliveredTo("acme", 1, 0)}, false)
	}))
	if len(tail) != 1 {
		t.Errorf("%d are found", len(tail))
	}
}
