package postgres_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// Two archivers that store the same again and again, each in its own order, wait for each other in rings. Every call of both succeeds.
func TestStackArchiversMeet(t *testing.T) {
	t.Parallel()
	d := open(t, with(newSchema(t), "deadlock_timeout=20ms"))
	for round := range 10 {
		outcomes := outcomesOf(round, 400)
		var work sync.WaitGroup
		for range 2 {
			mine := append([]postrider.Outcome(nil), outcomes...)
			rand.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
			work.Go(func() {
				for len(mine) > 0 {
					n := min(1+rand.IntN(len(outcomes)/2), len(mine))
					if err := d.Archive(t.Context(), &postrider.OutcomeBatch{Outcomes: mine[:n]}); err != nil {
						t.Error(err)
					}
					mine = mine[n:]
				}
			})
		}
		work.Wait()
	}
}

// outcomesOf are the fan-outs of some events to two targets each, and an attempt at each.
func outcomesOf(round, events int) []postrider.Outcome {
	var list []postrider.Outcome
	for i := range events {
		e := &postrider.Event{ID: fmt.Sprintf("evt_%d_%d", round, i), Tenant: "acme", Type: "core.a", AcceptedAt: time.Now(), Position: "1"}
		list = append(list, postrider.Outcome{Kind: postrider.OutcomeFanOut, At: e.AcceptedAt, Tenant: e.Tenant, Event: e.Head(), Targets: []int64{1, 2}})
		for target := range int64(2) {
			list = append(list, postrider.Outcome{Kind: postrider.OutcomeAttempt, At: e.AcceptedAt, Tenant: e.Tenant, Event: e.Head(), DeliveryID: postrider.NewDeliveryID(e, 1+target),
				TargetID: 1 + target, Attempts: 1, State: postrider.StateDelivered, Attempt: &postrider.Attempt{Number: 1, StartedAt: e.AcceptedAt, Class: postrider.ClassOK, Status: 200}})
		}
	}
	return list
}
