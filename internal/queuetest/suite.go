// Package queuetest is the conformance and benchmark suite of postrider.Queue. Every engine passes it by calling Run.
package queuetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// Harness is a queue that is empty, with what differs among engines.
type Harness struct {
	Queue postrider.Queue

	// Reopen ends the queue as a crash would and opens it again. What was leased may stay so until its lease ends.
	Reopen func(t *testing.T) postrider.Queue

	// Fair says that tenants take turns, and that TakeRequest.Full is heeded.
	Fair bool
	// Shortest is the shortest delay that the engine tells from none; 0: a millisecond.
	Shortest time.Duration
}

const patience = 60 * time.Second

// Run holds an engine against the contract. open is called once a subtest, with the lease that the queue is to have.
func Run(t *testing.T, open func(t *testing.T, lease time.Duration) Harness) {
	t.Helper()
	const long = 5 * time.Minute
	for name, test := range map[string]struct {
		lease time.Duration
		run   func(*testing.T, Harness)
	}{
		"PutTakeSettle":         {long, testPutTakeSettle},
		"ContentIsKept":         {long, testContentIsKept},
		"OutcomesLane":          {long, testOutcomesLane},
		"LanesAreApart":         {long, testLanesAreApart},
		"Credit":                {long, testCredit},
		"Delay":                 {long, testDelay},
		"Return":                {long, testReturn},
		"ReturnBeforeCommit":    {long, testReturnBeforeCommit},
		"LeasedIsNotTakenAgain": {long, testLeasedIsNotTakenAgain},
		"LeaseExpires":          {2 * time.Second, testLeaseExpires},
		"SettleAfterExpiry":     {2 * time.Second, testSettleAfterExpiry},
		"SettleWithFollow":      {long, testSettleWithFollow},
		"SurvivesCrash":         {long, testSurvivesCrash},
		"SettledStaysSettled":   {long, testSettledStaysSettled},
		"TooLarge":              {long, testTooLarge},
		"TakeEndsWithContext":   {long, testTakeEndsWithContext},
		"TakeWakesUp":           {long, testTakeWakesUp},
		"TenantsTakeTurns":      {long, testTenantsTakeTurns},
		"FullTenantsAreSkipped": {long, testFullTenantsAreSkipped},
		"ManyTakers":            {long, testManyTakers},
		"Stats":                 {long, testStats},
		"Limits":                {long, testLimits},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t, test.lease))
		})
	}
}

// NewPack makes a pack of one small event for some targets.
func NewPack(tenant string, n, targets int) *postrider.Pack {
	body := fmt.Appendf(nil, `{"n": %d}`, n)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e := &postrider.Event{ID: fmt.Sprintf("evt_%d", n), Tenant: tenant, Type: "core.orders.created", ContentType: "application/json", AcceptedAt: at,
		Position: postrider.Position(fmt.Sprint(n + 1)), Payload: postrider.Payload{Size: int64(len(body)), Bytes: body}}
	p := &postrider.Pack{Tenant: tenant}
	for i := range targets {
		p.Deliveries = append(p.Deliveries, postrider.Delivery{ID: postrider.NewDeliveryID(e, int64(i+1)), Event: e, TargetID: int64(i + 1), Version: 9, Start: at})
	}
	return p
}

func item(lane postrider.Lane, p *postrider.Pack) postrider.Item {
	return postrider.Item{Lane: lane, Pack: p}
}

func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func put(t *testing.T, q postrider.Queue, items ...postrider.Item) {
	t.Helper()
	ctx := patient(t)
	commit, err := q.Put(ctx, items...)
	if err == nil {
		err = commit.Wait(ctx)
	}
	if err != nil {
		t.Fatalf("put: %v", err)
	}
}

// take takes n items.
func take(t *testing.T, q postrider.Queue, lane postrider.Lane, n int) []*postrider.Lease {
	t.Helper()
	ctx := patient(t)
	var leases []*postrider.Lease
	for len(leases) < n {
		got, err := q.Take(ctx, postrider.TakeRequest{Lane: lane, Credit: 1000})
		if err != nil {
			t.Fatalf("take: %v, after %d of %d items", err, len(leases), n)
		}
		leases = append(leases, got...)
	}
	return leases
}

func settle(t *testing.T, q postrider.Queue, l *postrider.Lease, follow ...postrider.Item) {
	t.Helper()
	ctx := patient(t)
	commit, err := q.Settle(ctx, l, follow...)
	if err == nil {
		err = commit.Wait(ctx)
	}
	if err != nil {
		t.Fatalf("settle: %v", err)
	}
}

// nothing checks that a lane gives nothing: a marker that is put now is all that comes.
func nothing(t *testing.T, q postrider.Queue, lane postrider.Lane) {
	t.Helper()
	put(t, q, item(lane, NewPack("marker", 999, 1)))
	for _, l := range take(t, q, lane, 1) {
		if l.Pack.Tenant != "marker" {
			t.Errorf("%s came again", l.Pack.Deliveries[0].Event.ID)
		}
		settle(t, q, l)
	}
}

func testPutTakeSettle(t *testing.T, h Harness) {
	put(t, h.Queue, item(postrider.LaneFirst, NewPack("acme", 1, 1)))
	l := take(t, h.Queue, postrider.LaneFirst, 1)[0]
	if l.Receives < 1 || l.Lane != postrider.LaneFirst || !l.Expires.After(time.Now().Add(time.Minute)) {
		t.Errorf("lease %+v", l)
	}
	settle(t, h.Queue, l)
	nothing(t, h.Queue, postrider.LaneFirst)
}

func testContentIsKept(t *testing.T, h Harness) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p := NewPack("acme", 1, 2)
	p.Deliveries[0].Event.Payload.Bytes = []byte{0, 0xff, 0xfe}
	p.Deliveries[0].Event.Payload.Size = 3
	p.Deliveries[1].Attempts, p.Deliveries[1].Generation, p.Deliveries[1].Earlier = 5, 2, 3
	p.Deliveries[1].Due, p.Deliveries[1].LastTry = at.Add(time.Minute), at.Add(time.Second)
	put(t, h.Queue, item(postrider.LaneRetry, p))
	for i := range 2 {
		q := h.Queue
		if i == 1 {
			q = h.Reopen(t)
		}
		l := take(t, q, postrider.LaneRetry, 1)[0]
		if len(l.Pack.Deliveries) != 2 || l.Pack.Tenant != "acme" {
			t.Fatalf("pack %+v", l.Pack)
		}
		got, want := l.Pack.Deliveries[1], p.Deliveries[1]
		if got.ID != want.ID || got.Attempts != 5 || got.Generation != 2 || got.Earlier != 3 || !got.Due.Equal(want.Due) || !got.LastTry.Equal(want.LastTry) || got.Version != 9 {
			t.Errorf("delivery %+v, want %+v", got, want)
		}
		if string(got.Event.Payload.Bytes) != "\x00\xff\xfe" || got.Event.ContentType != "application/json" {
			t.Errorf("event %+v", got.Event)
		}
		if err := q.Return(patient(t), l, 0); err != nil {
			t.Fatalf("return: %v", err)
		}
	}
}

func testOutcomesLane(t *testing.T, h Harness) {
	o := postrider.Outcome{Kind: postrider.OutcomeState, At: time.Now().UTC().Truncate(time.Millisecond), Tenant: "acme", State: postrider.StateCancelled, Reason: postrider.ReasonTargetOff, TargetID: 7}
	put(t, h.Queue, postrider.Item{Lane: postrider.LaneOutcomes, Outcomes: []postrider.Outcome{o, o}})
	l := take(t, h.Queue, postrider.LaneOutcomes, 1)[0]
	if len(l.Outcomes) != 2 || l.Outcomes[1].Reason != postrider.ReasonTargetOff || l.Outcomes[1].TargetID != 7 || !l.Outcomes[1].At.Equal(o.At) {
		t.Errorf("outcomes %+v", l.Outcomes)
	}
	settle(t, h.Queue, l)
}

func testLanesAreApart(t *testing.T, h Harness) {
	for i, lane := range []postrider.Lane{postrider.LaneFirst, postrider.LaneRetry, postrider.LaneBulk} {
		put(t, h.Queue, item(lane, NewPack("acme", i, 1)))
	}
	for i, lane := range []postrider.Lane{postrider.LaneFirst, postrider.LaneRetry, postrider.LaneBulk} {
		l := take(t, h.Queue, lane, 1)
		if len(l) != 1 || l[0].Pack.Deliveries[0].Event.ID != fmt.Sprintf("evt_%d", i) {
			t.Errorf("lane %v gave %+v", lane, l)
		}
	}
}

func testTakeEndsWithContext(t *testing.T, h Harness) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := h.Queue.Take(ctx, postrider.TakeRequest{Lane: postrider.LaneFirst, Credit: 1})
		done <- err
	}()
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("take: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("take does not end with its context")
	}
}

func testTakeWakesUp(t *testing.T, h Harness) {
	done := make(chan int, 1)
	go func() {
		got, err := h.Queue.Take(patient(t), postrider.TakeRequest{Lane: postrider.LaneFirst, Credit: 1})
		if err != nil {
			t.Errorf("take: %v", err)
		}
		done <- len(got)
	}()
	put(t, h.Queue, item(postrider.LaneFirst, NewPack("acme", 1, 1)))
	select {
	case n := <-done:
		if n != 1 {
			t.Errorf("%d items", n)
		}
	case <-time.After(patience):
		t.Fatal("take does not wake up")
	}
}

func testLimits(t *testing.T, h Harness) {
	l := h.Queue.Limits()
	if l.MaxDelay < postrider.MaxDelay || l.Lease <= 0 || l.MaxBytes < 64<<10 || l.Lead < 0 || l.Lead+l.Step > l.MaxDelay {
		t.Errorf("limits %+v", l)
	}
	_, err := h.Queue.Put(patient(t), postrider.Item{Lane: postrider.LaneRetry, Delay: l.MaxDelay + time.Second, Pack: NewPack("acme", 1, 1)})
	if postrider.CodeOf(err) != postrider.CodeInvalid {
		t.Errorf("a delay over the limit: %v", err)
	}
}
