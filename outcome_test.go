package postrider_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

var accepted = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func TestDeliveryID(t *testing.T) {
	t.Parallel()
	e := &postrider.Event{ID: "evt_1", Tenant: "acme", Position: "7", AcceptedAt: accepted}
	id := postrider.NewDeliveryID(e, 5)
	if again := postrider.NewDeliveryID(e, 5); again != id {
		t.Errorf("a re-read gives %v, then %v", id, again)
	}
	back, err := postrider.ParseDeliveryID(id.String())
	if err != nil || back != id {
		t.Errorf("%v reads back as %v: %v", id, back, err)
	}
	if !id.AcceptedAt().Equal(accepted) {
		t.Errorf("accepted at %v, want %v", id.AcceptedAt(), accepted)
	}
	for _, other := range []*postrider.Event{
		{ID: "evt_2", Tenant: "acme", Position: "7", AcceptedAt: accepted},
		{ID: "evt_1", Tenant: "acm", Position: "7", AcceptedAt: accepted},
		{ID: "evt_1", Tenant: "acme", Position: "8", AcceptedAt: accepted},
		{ID: "evt_", Tenant: "acme", Position: "17", AcceptedAt: accepted},
	} {
		if postrider.NewDeliveryID(other, 5) == id {
			t.Errorf("%+v has the same id", other)
		}
	}
	later := postrider.NewDeliveryID(&postrider.Event{AcceptedAt: accepted.Add(time.Millisecond)}, 1)
	if later.String() <= id.String() {
		t.Errorf("%v is not after %v", later, id)
	}
	if first := postrider.FirstDeliveryID(accepted); first.String() > id.String() {
		t.Errorf("the first id %v is after %v", first, id)
	}
}

// Any order, any repetition and any cut of the same outcomes ends in the same record.
func TestMergeIsOrderFree(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	outcomes := history()
	var want string
	for range 200 {
		rng.Shuffle(len(outcomes), func(i, j int) { outcomes[i], outcomes[j] = outcomes[j], outcomes[i] })
		batch := append(append([]postrider.Outcome(nil), outcomes...), outcomes[:rng.IntN(len(outcomes))]...)
		cut := rng.IntN(len(batch))
		got := fmt.Sprint(merge(batch[:cut], batch[cut:]))
		if want == "" {
			want = got
		}
		if got != want {
			t.Fatalf("got %s, before %s", got, want)
		}
	}
}

// history is a delivery that fails, succeeds and has a late twin that fails, and one that is replayed.
func history() []postrider.Outcome {
	head := postrider.EventHead{ID: "evt_1", Type: "a.b", AcceptedAt: accepted, Position: "7"}
	event := &postrider.Event{ID: head.ID, Tenant: "acme", Position: head.Position, AcceptedAt: accepted}
	made := func(target int64, generation, attempts int, state postrider.State, reason postrider.Reason, after time.Duration) postrider.Outcome {
		return postrider.Outcome{Kind: postrider.OutcomeAttempt, At: accepted.Add(after), Tenant: "acme", Event: head, TargetID: target,
			DeliveryID: postrider.NewDeliveryID(event, target), Generation: generation, Attempts: attempts, State: state, Reason: reason,
			Attempt: &postrider.Attempt{Number: attempts}}
	}
	return []postrider.Outcome{
		{Kind: postrider.OutcomeFanOut, At: accepted, Tenant: "acme", Event: head, Targets: []int64{1, 2}, Off: []int64{3}},
		made(1, 0, 1, postrider.StateRetrying, "", time.Second),
		made(1, 0, 2, postrider.StateDelivered, "", 2*time.Second),
		made(1, 0, 3, postrider.StateRetrying, "", 3*time.Second),
		made(1, 0, 4, postrider.StateExhausted, postrider.ReasonWindow, 4*time.Second),
		made(2, 0, 1, postrider.StateExhausted, postrider.ReasonWindow, time.Second),
		made(2, 1, 1, postrider.StatePending, "", 5*time.Second),
		made(2, 1, 2, postrider.StateRetrying, "", 6*time.Second),
	}
}

func merge(batches ...[]postrider.Outcome) map[int64]string {
	rows := map[int64]postrider.DeliveryRecord{}
	for _, batch := range batches {
		folded, _ := postrider.Fold(batch)
		for _, f := range folded {
			old, there := rows[f.Record.TargetID]
			if !there || f.Record.Newer(&old) {
				rows[f.Record.TargetID] = f.Record
			}
		}
	}
	out := map[int64]string{}
	for target, r := range rows {
		out[target] = fmt.Sprint(r.Generation, r.State, r.Reason, r.Attempts)
	}
	return out
}

func TestFoldMakesOneRowADelivery(t *testing.T) {
	t.Parallel()
	folded, fanOuts := postrider.Fold(history())
	if len(folded) != 3 || len(fanOuts) != 1 {
		t.Fatalf("%d rows and %d fan-outs, want 3 and 1", len(folded), len(fanOuts))
	}
	states := map[int64]postrider.State{}
	for _, f := range folded {
		states[f.Record.TargetID] = f.Record.State
	}
	if states[1] != postrider.StateDelivered || states[2] != postrider.StateRetrying || states[3] != postrider.StateCancelled {
		t.Errorf("states %v", states)
	}
}

func TestDerivedEventID(t *testing.T) {
	t.Parallel()
	a := postrider.DerivedEventID("events", 1, 2, accepted)
	if a != postrider.DerivedEventID("events", 1, 2, accepted) || a == postrider.DerivedEventID("events", 1, 3, accepted) {
		t.Error("the derived id does not stand for the place")
	}
	wantFields(t, postrider.CheckEventID(a))
}
