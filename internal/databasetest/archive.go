package databasetest

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

var accepted = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// event makes the head of an event, n milliseconds after the first.
func event(tenant string, n int) *postrider.Event {
	return &postrider.Event{ID: fmt.Sprintf("evt_%d", n), Tenant: tenant, Type: fmt.Sprintf("core.type%d", n%2), AcceptedAt: accepted.Add(time.Duration(n) * time.Millisecond),
		Position: postrider.Position(fmt.Sprint(n + 1)), Payload: postrider.Payload{Size: 7}}
}

func fanOut(e *postrider.Event, targets ...int64) postrider.Outcome {
	return postrider.Outcome{Kind: postrider.OutcomeFanOut, At: e.AcceptedAt, Tenant: e.Tenant, Event: e.Head(), Targets: targets}
}

// tried makes the outcome of an attempt.
func tried(e *postrider.Event, target int64, generation, number int, state postrider.State, reason postrider.Reason) postrider.Outcome {
	at := e.AcceptedAt.Add(time.Duration(number) * time.Second)
	class, status := postrider.ClassStatus, 503
	if state == postrider.StateDelivered {
		class, status = postrider.ClassOK, 200
	}
	o := postrider.Outcome{Kind: postrider.OutcomeAttempt, At: at, Tenant: e.Tenant, Event: e.Head(), DeliveryID: postrider.NewDeliveryID(e, target),
		TargetID: target, Generation: generation, Attempts: number, State: state, Reason: reason,
		Attempt: &postrider.Attempt{Number: number, StartedAt: at, Duration: 5 * time.Millisecond, Class: class, Status: status, Head: []byte("body")}}
	if state == postrider.StateRetrying {
		o.NextAt = at.Add(time.Minute)
	}
	return o
}

func archive(t *testing.T, d postrider.Database, outcomes ...postrider.Outcome) {
	t.Helper()
	must(t, d.Archive(patient(t), &postrider.OutcomeBatch{Outcomes: outcomes}))
}

func delivery(t *testing.T, d postrider.Database, e *postrider.Event, target int64) *postrider.DeliveryRecord {
	t.Helper()
	r, err := d.Delivery(patient(t), e.Tenant, postrider.NewDeliveryID(e, target))
	must(t, err)
	return r
}

func attempts(t *testing.T, d postrider.Database, e *postrider.Event, target int64) []postrider.Attempt {
	t.Helper()
	list, err := d.Attempts(patient(t), e.Tenant, postrider.NewDeliveryID(e, target))
	must(t, err)
	return list
}

func testArchiveOne(t *testing.T, h Harness) {
	d, e := h.Database, event("acme", 1)
	archive(t, d, fanOut(e, 5, 6), tried(e, 5, 0, 1, postrider.StateDelivered, ""))
	r := delivery(t, d, e, 5)
	if r.State != postrider.StateDelivered || r.Attempts != 1 || r.Event.ID != e.ID || r.Event.Type != e.Type || r.TargetID != 5 ||
		!r.CreatedAt.Equal(e.AcceptedAt) || r.Event.Position != e.Position || !r.UpdatedAt.Equal(e.AcceptedAt.Add(time.Second)) {
		t.Errorf("delivered: %+v", r)
	}
	if a := attempts(t, d, e, 5); len(a) != 1 || a[0].Number != 1 || a[0].Status != 200 || string(a[0].Head) != "body" || a[0].Duration != 5*time.Millisecond {
		t.Errorf("attempts %+v", a)
	}
	if p := delivery(t, d, e, 6); p.State != postrider.StatePending || p.Attempts != 0 {
		t.Errorf("pending: %+v", p)
	}
	if a := attempts(t, d, e, 6); len(a) != 0 {
		t.Errorf("attempts %+v", a)
	}
	record, err := d.EventRecord(patient(t), "acme", e.ID)
	must(t, err)
	if record.Position != e.Position || record.Size != 7 || record.Type != e.Type || !record.AcceptedAt.Equal(e.AcceptedAt) {
		t.Errorf("event %+v", record)
	}
	off := event("acme", 2)
	o := fanOut(off)
	o.Off = []int64{9}
	archive(t, d, o)
	if r := delivery(t, d, off, 9); r.State != postrider.StateCancelled || r.Reason != postrider.ReasonTargetOff {
		t.Errorf("off: %+v", r)
	}
}

func testArchiveIsIdempotent(t *testing.T, h Harness) {
	d, e := h.Database, event("acme", 1)
	batch := []postrider.Outcome{fanOut(e, 5), tried(e, 5, 0, 1, postrider.StateRetrying, ""), tried(e, 5, 0, 2, postrider.StateDelivered, "")}
	for range 3 {
		archive(t, d, batch...)
	}
	if a := attempts(t, d, e, 5); len(a) != 2 {
		t.Errorf("attempts %+v", a)
	}
	once := event("acme", 2)
	for range 3 {
		archive(t, d, fanOut(once, 5), tried(once, 5, 0, 1, postrider.StateDelivered, ""))
	}
	if a := attempts(t, d, once, 5); len(a) != 1 {
		t.Errorf("attempts %+v", a)
	}
}

func testArchivePosition(t *testing.T, h Harness) {
	d, ctx := h.Database, patient(t)
	if p, err := d.ArchivedTo(ctx, "0"); p != "" || err != nil {
		t.Errorf("before: %q, %v", p, err)
	}
	if at, err := d.AsOf(ctx); !at.IsZero() || err != nil {
		t.Errorf("before: as of %v, %v", at, err)
	}
	must(t, d.Archive(ctx, &postrider.OutcomeBatch{Partition: "0", End: "17", Through: accepted.Add(time.Minute), Outcomes: []postrider.Outcome{fanOut(event("acme", 1), 5)}}))
	must(t, d.Archive(ctx, &postrider.OutcomeBatch{Partition: "1", End: "3", Through: accepted}))
	d = h.Reopen(t)
	if p, err := d.ArchivedTo(ctx, "0"); p != "17" || err != nil {
		t.Errorf("after: %q, %v", p, err)
	}
	if at, err := d.AsOf(ctx); !at.Equal(accepted) || err != nil {
		t.Errorf("as of %v, %v; want the partition that is behind: %v", at, err, accepted)
	}
	must(t, d.Archive(ctx, &postrider.OutcomeBatch{Partition: "lane", Outcomes: []postrider.Outcome{fanOut(event("acme", 2), 5)}}))
	if p, err := d.ArchivedTo(ctx, "lane"); p != "" || err != nil {
		t.Errorf("a batch without an end left a position: %q, %v", p, err)
	}
}

// Any order, any repetition and any cut of the same outcomes ends in the same rows.
func testArchiveAnyOrder(t *testing.T, h Harness) {
	d := h.Database
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	for n := range 20 {
		e := event("acme", n)
		all := []postrider.Outcome{fanOut(e, 1, 2, 3),
			tried(e, 1, 0, 1, postrider.StateRetrying, ""), tried(e, 1, 0, 2, postrider.StateDelivered, ""), tried(e, 1, 0, 3, postrider.StateExhausted, postrider.ReasonWindow),
			tried(e, 2, 0, 1, postrider.StateExhausted, postrider.ReasonWindow), tried(e, 2, 1, 2, postrider.StateRetrying, ""),
			tried(e, 3, 0, 1, postrider.StateDelivered, "")}
		all = append(all, all[rng.IntN(len(all))], all[rng.IntN(len(all))])
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for len(all) > 0 {
			cut := 1 + rng.IntN(len(all))
			archive(t, d, all[:cut]...)
			all = all[cut:]
		}
		for target, want := range map[int64]string{1: "delivered 0 2 3", 2: "retrying 1 2 2", 3: "delivered 0 1 1"} {
			r := delivery(t, d, e, target)
			if got := fmt.Sprint(r.State, " ", r.Generation, " ", r.Attempts, " ", len(attempts(t, d, e, target))); got != want {
				t.Errorf("event %d, target %d: %s, want %s", n, target, got, want)
			}
		}
	}
}

// Two attempts with one number, made by twins, are both kept.
func testArchiveTwins(t *testing.T, h Harness) {
	d, e := h.Database, event("acme", 1)
	first := tried(e, 5, 0, 1, postrider.StateDelivered, "")
	second := tried(e, 5, 0, 1, postrider.StateRetrying, "")
	second.Attempt.StartedAt = second.Attempt.StartedAt.Add(time.Millisecond)
	archive(t, d, first)
	archive(t, d, second)
	if a := attempts(t, d, e, 5); len(a) != 2 || a[0].Status != 200 || a[1].Status != 503 {
		t.Errorf("attempts %+v", a)
	}
	if r := delivery(t, d, e, 5); r.State != postrider.StateDelivered {
		t.Errorf("a twin's failure made it %s", r.State)
	}
}

func testGenerations(t *testing.T, h Harness) {
	d, e := h.Database, event("acme", 1)
	archive(t, d, fanOut(e, 5), tried(e, 5, 0, 1, postrider.StateDelivered, ""))
	replay := postrider.Outcome{Kind: postrider.OutcomeState, At: e.AcceptedAt.Add(time.Hour), Tenant: "acme", Event: e.Head(), DeliveryID: postrider.NewDeliveryID(e, 5),
		TargetID: 5, Generation: 1, Attempts: 1, State: postrider.StatePending}
	archive(t, d, replay)
	if r := delivery(t, d, e, 5); r.State != postrider.StatePending || r.Generation != 1 || r.Attempts != 1 {
		t.Errorf("replayed: %+v", r)
	}
	archive(t, d, tried(e, 5, 0, 2, postrider.StateDelivered, "")) // a late twin of the first generation
	if r := delivery(t, d, e, 5); r.Generation != 1 {
		t.Errorf("a late twin: %+v", r)
	}
	archive(t, d, tried(e, 5, 1, 2, postrider.StateDelivered, ""))
	if r := delivery(t, d, e, 5); r.State != postrider.StateDelivered || r.Attempts != 2 {
		t.Errorf("delivered again: %+v", r)
	}
}

func testNewestEvent(t *testing.T, h Harness) {
	d := h.Database
	older, newer := event("acme", 1), event("acme", 3)
	newer.ID = older.ID
	archive(t, d, fanOut(newer))
	archive(t, d, fanOut(older))
	record, err := d.EventRecord(patient(t), "acme", older.ID)
	must(t, err)
	if record.Position != newer.Position {
		t.Errorf("position %s, want the newest, %s", record.Position, newer.Position)
	}
	_, err = d.EventRecord(patient(t), "globex", older.ID)
	wantCode(t, err, postrider.CodeNotFound)
}

func ids(records []postrider.DeliveryRecord) []string {
	var list []string
	for i := range records {
		list = append(list, fmt.Sprintf("%s/%d", records[i].Event.ID, records[i].TargetID))
	}
	sort.Strings(list)
	return list
}

func testDeliveryQueries(t *testing.T, h Harness) {
	d, ctx := h.Database, patient(t)
	for n := range 4 {
		e := event("acme", n)
		archive(t, d, fanOut(e, 1, 2))
	}
	archive(t, d, tried(event("acme", 0), 1, 0, 1, postrider.StateDelivered, ""), tried(event("acme", 1), 1, 0, 1, postrider.StateRetrying, ""),
		tried(event("acme", 2), 1, 0, 1, postrider.StateExhausted, postrider.ReasonWindow))
	at := func(n int) time.Time { return event("acme", n).AcceptedAt }
	for name, tt := range map[string]struct {
		query postrider.DeliveryQuery
		want  string
	}{
		"all":        {postrider.DeliveryQuery{}, "[evt_0/1 evt_0/2 evt_1/1 evt_1/2 evt_2/1 evt_2/2 evt_3/1 evt_3/2]"},
		"delivered":  {postrider.DeliveryQuery{State: postrider.StateDelivered}, "[evt_0/1]"},
		"retrying":   {postrider.DeliveryQuery{State: postrider.StateRetrying}, "[evt_1/1]"},
		"exhausted":  {postrider.DeliveryQuery{State: postrider.StateExhausted}, "[evt_2/1]"},
		"pending":    {postrider.DeliveryQuery{State: postrider.StatePending}, "[evt_0/2 evt_1/2 evt_2/2 evt_3/1 evt_3/2]"},
		"cancelled":  {postrider.DeliveryQuery{State: postrider.StateCancelled}, "[]"},
		"target":     {postrider.DeliveryQuery{TargetID: 1}, "[evt_0/1 evt_1/1 evt_2/1 evt_3/1]"},
		"event":      {postrider.DeliveryQuery{EventID: "evt_2"}, "[evt_2/1 evt_2/2]"},
		"no event":   {postrider.DeliveryQuery{EventID: "evt_9"}, "[]"},
		"type":       {postrider.DeliveryQuery{EventType: "core.type1"}, "[evt_1/1 evt_1/2 evt_3/1 evt_3/2]"},
		"since":      {postrider.DeliveryQuery{Since: at(2)}, "[evt_2/1 evt_2/2 evt_3/1 evt_3/2]"},
		"since just": {postrider.DeliveryQuery{Since: at(2).Add(time.Nanosecond)}, "[evt_3/1 evt_3/2]"},
		"until":      {postrider.DeliveryQuery{Until: at(1)}, "[evt_0/1 evt_0/2]"},
		"all of it":  {postrider.DeliveryQuery{State: postrider.StatePending, TargetID: 2, EventType: "core.type0", Since: at(1), Until: at(3)}, "[evt_2/2]"},
	} {
		got, next, err := d.Deliveries(ctx, "acme", tt.query)
		must(t, err)
		if fmt.Sprint(ids(got)) != tt.want || next != "" {
			t.Errorf("%s: %v, next %q; want %s", name, ids(got), next, tt.want)
		}
	}
}

func testDeliveryPages(t *testing.T, h Harness) {
	d, ctx := h.Database, patient(t)
	for n := range 9 {
		archive(t, d, fanOut(event("acme", n), 1))
	}
	var got []string
	q := postrider.DeliveryQuery{Page: postrider.Page{Limit: 4}, TargetID: 1}
	for {
		records, next, err := d.Deliveries(ctx, "acme", q)
		must(t, err)
		for _, r := range records {
			got = append(got, r.Event.ID)
		}
		if next == "" {
			break
		}
		q.After = next
		archive(t, d, fanOut(event("acme", 100+len(got)), 1)) // newer ones do not move the pages
	}
	if want := "[evt_8 evt_7 evt_6 evt_5 evt_4 evt_3 evt_2 evt_1 evt_0]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// Deliveries that are not final show as deferred while their target is on hold, and only so.
func testDeferred(t *testing.T, h Harness) {
	d, ctx := h.Database, patient(t)
	e := event("acme", 1)
	archive(t, d, fanOut(e, 5, 6, 7), tried(e, 6, 0, 1, postrider.StateDelivered, ""))
	now := time.Now().UTC()
	hold := func(target int64) postrider.Hold {
		return postrider.Hold{TargetID: target, Reason: postrider.HoldLimited, Since: now, Until: now.Add(time.Hour)}
	}
	must(t, d.PutHolds(ctx, "one", []postrider.Hold{hold(5), hold(6)}))
	must(t, d.PutHolds(ctx, "two", []postrider.Hold{{TargetID: 7, Reason: postrider.HoldLimited, Since: now.Add(-2 * time.Hour), Until: now.Add(-time.Hour)}}))
	for target, want := range map[int64]postrider.State{5: postrider.StateDeferred, 6: postrider.StateDelivered, 7: postrider.StatePending} {
		if r := delivery(t, d, e, target); r.State != want {
			t.Errorf("target %d shows as %s, want %s", target, r.State, want)
		}
	}
	for state, want := range map[postrider.State]string{postrider.StateDeferred: "[evt_1/5]", postrider.StatePending: "[evt_1/7]"} {
		got, _, err := d.Deliveries(ctx, "acme", postrider.DeliveryQuery{State: state})
		must(t, err)
		if fmt.Sprint(ids(got)) != want {
			t.Errorf("%s: %v, want %s", state, ids(got), want)
		}
	}
	must(t, d.PutHolds(ctx, "one", nil))
	if r := delivery(t, d, e, 5); r.State != postrider.StatePending {
		t.Errorf("after the hold: %s", r.State)
	}
}

func testExpireFinalOnly(t *testing.T, h Harness) {
	d, ctx := h.Database, patient(t)
	for n := range 3 {
		e := event("acme", n)
		archive(t, d, fanOut(e, 1, 2), tried(e, 1, 0, 1, postrider.StateRetrying, ""), tried(e, 1, 0, 2, postrider.StateDelivered, ""))
	}
	n, err := d.Expire(ctx, event("acme", 2).AcceptedAt)
	if err != nil || n != 2 {
		t.Errorf("expired %d, %v; want 2", n, err)
	}
	got, _, err := d.Deliveries(ctx, "acme", postrider.DeliveryQuery{})
	must(t, err)
	if want := "[evt_0/2 evt_1/2 evt_2/1 evt_2/2]"; fmt.Sprint(ids(got)) != want {
		t.Errorf("left %v, want %s", ids(got), want)
	}
}

func testDeliveriesOfStranger(t *testing.T, h Harness) {
	d, ctx, e := h.Database, patient(t), event("acme", 1)
	archive(t, d, fanOut(e, 5), tried(e, 5, 0, 1, postrider.StateDelivered, ""))
	id := postrider.NewDeliveryID(e, 5)
	_, err := d.Delivery(ctx, "globex", id)
	wantCode(t, err, postrider.CodeNotFound)
	_, err = d.Attempts(ctx, "globex", id)
	wantCode(t, err, postrider.CodeNotFound)
	got, _, err := d.Deliveries(ctx, "globex", postrider.DeliveryQuery{TargetID: 5})
	if err != nil || len(got) != 0 {
		t.Errorf("globex sees %v, %v", ids(got), err)
	}
}

// Benchmark measures the usual course of a delivery: fan-out and success in one batch.
func Benchmark(b *testing.B, open func(b *testing.B) postrider.Database) {
	d := open(b)
	const batch = 500
	for n := 0; n < b.N; n += batch {
		var outcomes []postrider.Outcome
		for i := range min(batch, b.N-n) {
			e := event("acme", n+i)
			outcomes = append(outcomes, fanOut(e, 5), tried(e, 5, 0, 1, postrider.StateDelivered, ""))
		}
		if err := d.Archive(b.Context(), &postrider.OutcomeBatch{Outcomes: outcomes}); err != nil {
			b.Fatal(err)
		}
	}
}
