package databasetest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// Two archivers that store the same outcomes at once, in large batches cut and ordered at random and in part repeated, end in the same
// rows as one that stores each once.
func testArchiveLarge(t *testing.T, h Harness) {
	d := h.Database
	const events = 400
	var all []postrider.Outcome
	for n := range events {
		e := event("acme", n)
		all = append(all, fanOut(e, 1, 2), tried(e, 1, 0, 1, postrider.StateDelivered, ""), tried(e, 2, 0, 1, postrider.StateRetrying, ""),
			tried(e, 2, 0, 2, postrider.StateExhausted, postrider.ReasonWindow))
	}
	var work sync.WaitGroup
	for range 2 {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		work.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 3))
			mine := append([]postrider.Outcome(nil), all...)
			if rng.IntN(2) == 0 {
				rng.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
			}
			for len(mine) > 0 {
				cut := min(1+rng.IntN(len(all)/2), len(mine))
				if err := d.Archive(t.Context(), &postrider.OutcomeBatch{Outcomes: mine[:cut]}); err != nil {
					t.Errorf("archive: %v", err)
					return
				}
				mine = mine[max(cut-rng.IntN(20), 1):]
			}
		})
	}
	work.Wait()
	for n := 0; n < events; n += 37 {
		e := event("acme", n)
		for target, want := range map[int64]string{1: "delivered 1 1", 2: "exhausted 2 2"} {
			r := delivery(t, d, e, target)
			if got := fmt.Sprint(r.State, " ", r.Attempts, " ", len(attempts(t, d, e, target))); got != want {
				t.Errorf("event %d, target %d: %s, want %s", n, target, got, want)
			}
		}
		if _, err := d.EventRecord(patient(t), "acme", e.ID); err != nil {
			t.Errorf("event %d: %v", n, err)
		}
	}
	for state, want := range map[postrider.State]int{postrider.StateDelivered: events, postrider.StateExhausted: events, postrider.StateRetrying: 0} {
		if got := len(listAll(t, d, postrider.DeliveryQuery{State: state})); got != want {
			t.Errorf("%d deliveries are %s, want %d", got, state, want)
		}
	}
}

// listAll pages through a list of acme's, and checks its order.
func listAll(t *testing.T, d postrider.Database, q postrider.DeliveryQuery) []postrider.DeliveryRecord {
	t.Helper()
	var all []postrider.DeliveryRecord
	for {
		records, next, err := d.Deliveries(patient(t), "acme", q)
		must(t, err)
		for i := range records {
			if n := len(all); n > 0 && string(records[i].ID[:]) >= string(all[n-1].ID[:]) {
				t.Fatalf("%s comes after %s", records[i].ID, all[n-1].ID)
			}
			all = append(all, records[i])
		}
		if next == "" {
			return all
		}
		q.After = next
	}
}

// Pages of any size, of any question, hold what is asked for, all of it, once.
func testPagesOfQuestions(t *testing.T, h Harness) {
	d := h.Database
	states := []postrider.State{postrider.StateDelivered, postrider.StateRetrying, postrider.StateExhausted}
	var batch []postrider.Outcome
	for n := range 60 {
		e := event("acme", n*7)
		batch = append(batch, fanOut(e, 1, 2, 3), tried(e, int64(1+n%3), 0, 1, states[n/3%3], ""))
	}
	archive(t, d, batch...)
	at := time.Now().UTC()
	must(t, d.PutHolds(patient(t), "one", []postrider.Hold{{TargetID: 3, Reason: postrider.HoldBreaker, Since: at, Until: at.Add(time.Hour)}}))
	every := listAll(t, d, postrider.DeliveryQuery{})
	if len(every) != 180 {
		t.Fatalf("%d deliveries, want 180", len(every))
	}
	for i := range 64 {
		q := postrider.DeliveryQuery{Page: postrider.Page{Limit: 1 + i*13%40}}
		if i&1 != 0 {
			q.TargetID = int64(1 + i%3)
		}
		if i&2 != 0 {
			q.EventType = fmt.Sprintf("core.type%d", i/4%2)
		}
		if i&4 != 0 {
			q.State = append(states, postrider.StatePending, postrider.StateDeferred, postrider.StateCancelled)[i/8%6]
		}
		if i&8 != 0 {
			q.Since, q.Until = accepted.Add(50*time.Millisecond), accepted.Add(300*time.Millisecond)
		}
		var want []postrider.DeliveryID
		for _, r := range every {
			if (q.TargetID == 0 || r.TargetID == q.TargetID) && (q.EventType == "" || r.Event.Type == q.EventType) && (q.State == "" || r.State == q.State) &&
				(q.Since.IsZero() || !r.CreatedAt.Before(q.Since) && r.CreatedAt.Before(q.Until)) {
				want = append(want, r.ID)
			}
		}
		var got []postrider.DeliveryID
		for _, r := range listAll(t, d, q) {
			got = append(got, r.ID)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%+v: %d deliveries, want %d", q, len(got), len(want))
		}
	}
}
