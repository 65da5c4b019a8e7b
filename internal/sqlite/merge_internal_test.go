package sqlite

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// TestMergeTogether stores what a hundred batches say of a few deliveries, in any order, together and one by one: it comes to the same.
func TestMergeTogether(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // the test is to be the same each time
			together, alone := openDB(t, t.TempDir()), openDB(t, t.TempDir())
			for range 100 {
				list, as := someFolded(random), []storing{asNew, asAny}[random.IntN(2)]
				must(t, together.writer.do(t.Context(), func(tx *tx) error { return together.outcomes.store.merge(tx, list, as) }))
				must(t, alone.writer.do(t.Context(), func(tx *tx) error {
					for _, f := range list {
						if err := alone.outcomes.store.mergeOne(tx, f); err != nil {
							return err
						}
					}
					return nil
				}))
			}
			got, want := shown(t, together), shown(t, alone)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("together:\n%v\none by one:\n%v", got, want)
			}
		})
	}
}

var mergeStart = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// someFolded says something of up to 20 of 40 deliveries, each once.
func someFolded(random *rand.Rand) []*postrider.Folded {
	var list []*postrider.Folded
	for _, n := range random.Perm(40)[:1+random.IntN(20)] {
		event := postrider.Event{ID: fmt.Sprint("event-", n), Tenant: "acme", Type: "orders.created", Position: "1", AcceptedAt: mergeStart}
		at := mergeStart.Add(time.Duration(random.IntN(1000)) * time.Second)
		f := &postrider.Folded{Record: postrider.DeliveryRecord{ID: postrider.NewDeliveryID(&event, 7), Tenant: "acme", Event: event.Head(), TargetID: 7,
			State: postrider.StatePending, CreatedAt: mergeStart, UpdatedAt: at}}
		r := &f.Record
		r.Generation = random.IntN(8) / 7
		first := 1 + random.IntN(3)
		for i := range random.IntN(4) * random.IntN(2) {
			r.Attempts, r.State, r.NextAt = first+i, postrider.StateRetrying, at.Add(time.Minute)
			f.Attempts = append(f.Attempts, postrider.Attempt{Number: r.Attempts, StartedAt: at.Add(time.Duration(i) * time.Second), Status: 500, Class: postrider.ClassStatus})
		}
		switch random.IntN(6) {
		case 0:
			r.State, r.NextAt = postrider.StateDelivered, time.Time{}
		case 1:
			r.State, r.Reason, r.NextAt = postrider.StateCancelled, postrider.ReasonTargetOff, time.Time{}
		}
		list = append(list, f)
	}
	return list
}

// shown is what the API shows of all deliveries.
func shown(t *testing.T, db *DB) (lines []string) {
	t.Helper()
	list, _, err := db.Database().Deliveries(t.Context(), "acme", postrider.DeliveryQuery{Page: postrider.Page{Limit: 100}})
	must(t, err)
	for i := range list {
		r := &list[i]
		line := fmt.Sprintf("%s gen %d, %d attempts, %s %s, next %v, at %v:", r.Event.ID, r.Generation, r.Attempts, r.State, r.Reason, r.NextAt, r.UpdatedAt)
		attempts, err := db.Database().Attempts(t.Context(), "acme", r.ID)
		must(t, err)
		for _, a := range attempts {
			line += fmt.Sprintf(" %d at %v", a.Number, a.StartedAt)
		}
		lines = append(lines, line)
	}
	return lines
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
