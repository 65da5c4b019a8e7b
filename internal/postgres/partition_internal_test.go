package postgres

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// at makes the outcomes of a delivery accepted at a time: of a fan-out and one attempt, with the state after it.
func at(when time.Time, id string, state postrider.State) (postrider.DeliveryID, []postrider.Outcome) {
	e := &postrider.Event{ID: id, Tenant: "acme", Type: "core.a", AcceptedAt: when, Position: postrider.Position(id)}
	d := postrider.NewDeliveryID(e, 5)
	return d, []postrider.Outcome{{Kind: postrider.OutcomeFanOut, At: when, Tenant: "acme", Event: e.Head(), Targets: []int64{5}},
		{Kind: postrider.OutcomeAttempt, At: when, Tenant: "acme", Event: e.Head(), DeliveryID: d, TargetID: 5, Attempts: 1, State: state,
			Attempt: &postrider.Attempt{Number: 1, StartedAt: when, Class: postrider.ClassOK, Status: 200}},
		{Kind: postrider.OutcomeAttempt, At: when, Tenant: "acme", Event: e.Head(), DeliveryID: d, TargetID: 5, Attempts: 2, State: state,
			Attempt: &postrider.Attempt{Number: 2, StartedAt: when, Class: postrider.ClassOK, Status: 200}}}
}

func (d *Database) mustArchive(t *testing.T, outcomes []postrider.Outcome) {
	t.Helper()
	if err := d.Archive(t.Context(), &postrider.OutcomeBatch{Outcomes: outcomes}); err != nil {
		t.Fatal(err)
	}
}

// tables counts the rows of tables.
func (d *Database) count(t *testing.T, tables ...string) string {
	t.Helper()
	var counts []int
	for _, table := range tables {
		var n int
		if err := d.pool.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		counts = append(counts, n)
	}
	return fmt.Sprint(counts)
}

// What the default partition has of a day moves when the day gets its partitions, and is found all the same.
func TestStackDayIsMadeLate(t *testing.T) {
	t.Parallel()
	d := testSchema(t)
	later := dayOf(d.clock().AddDate(0, 0, 20))
	id, outcomes := at(later.Add(time.Hour), "evt_1", postrider.StateDelivered)
	d.mustArchive(t, outcomes)
	if got := d.count(t, "events_default", "deliveries_default", "attempts_default"); got != "[1 1 2]" {
		t.Fatalf("in the default partitions: %s", got)
	}
	for range 2 { // the second time it is there
		if err := d.makeDay(t.Context(), later); err != nil {
			t.Fatal(err)
		}
	}
	if got := d.count(t, "events_default", "deliveries_default", "attempts_default", later.table("events"), later.table("deliveries"), later.table("attempts")); got != "[0 0 0 1 1 2]" {
		t.Errorf("after the day was made: %s", got)
	}
	r, err := d.Delivery(t.Context(), "acme", id)
	if err != nil || r.State != postrider.StateDelivered {
		t.Errorf("%+v, %v", r, err)
	}
	if list, err := d.refresh(t.Context()); err != nil || !slices.Contains(list, later) {
		t.Errorf("days %v, %v", list, err)
	}
	if have := d.days.span(); less(postrider.FirstDeliveryID(later.Time), have.to) {
		t.Errorf("a day beyond a gap counts as one of the days without: %v", have)
	}
}

// Days that are over go whole, but for what is not final, which goes later; days that are not over stay.
func TestStackDaysAreDropped(t *testing.T) {
	t.Parallel()
	d := testSchema(t)
	ctx, today := t.Context(), dayOf(d.clock())
	old, edge := day{today.AddDate(0, 0, -6)}, day{today.AddDate(0, 0, -5)}
	done, outcomes := at(old.Add(time.Hour), "evt_1", postrider.StateDelivered)
	open, more := at(old.Add(2*time.Hour), "evt_2", postrider.StateRetrying)
	stays, rest := at(edge.Add(time.Hour), "evt_3", postrider.StateDelivered)
	d.mustArchive(t, slices.Concat(outcomes, more, rest))
	if _, err := d.Expire(ctx, edge.Add(12*time.Hour)); err != nil {
		t.Fatal(err)
	}
	_, err := d.Delivery(ctx, "acme", done)
	if postrider.CodeOf(err) != postrider.CodeNotFound {
		t.Errorf("a final delivery of a day that is over: %v", err)
	}
	for _, id := range []postrider.DeliveryID{open, stays} {
		if attempts, err := d.Attempts(ctx, "acme", id); err != nil || len(attempts) != 2 {
			t.Errorf("%s: %d attempts, %v", id, len(attempts), err)
		}
	}
	if _, err := d.EventRecord(ctx, "acme", "evt_2"); err != nil {
		t.Errorf("the event of a delivery that is not final: %v", err)
	}
	if got := d.count(t, "events_default", "deliveries_default", "attempts_default"); got != "[1 1 2]" {
		t.Errorf("in the default partitions: %s", got)
	}
	final := more[2]
	final.State, final.Reason, final.Attempts, final.Attempt = postrider.StateExhausted, postrider.ReasonWindow, 3, nil
	final.Kind = postrider.OutcomeState
	d.mustArchive(t, []postrider.Outcome{final})
	n, err := d.Expire(ctx, edge.Add(12*time.Hour))
	if got := d.count(t, "events_default", "deliveries_default", "attempts_default"); n != 1 || err != nil || got != "[0 0 0]" {
		t.Errorf("once it is final: expired %d, %v; left %s", n, err, got)
	}
}

// Days go on being made while the clock goes on, and the retention leaves no more than it should.
func TestStackDaysGoOn(t *testing.T) {
	t.Parallel()
	d := testSchema(t)
	begun := d.clock()
	for n := range 12 {
		now := begun.AddDate(0, 0, n)
		d.clock = func() time.Time { return now }
		if err := d.makeDays(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, outcomes := at(now, fmt.Sprint("evt_", n), postrider.StateDelivered)
		d.mustArchive(t, outcomes)
		if _, err := d.Expire(t.Context(), now.AddDate(0, 0, -8)); err != nil {
			t.Fatal(err)
		}
	}
	list, err := d.refresh(t.Context())
	if err != nil || len(list) != 8+1+daysAhead {
		t.Errorf("%d days, %v", len(list), err)
	}
	if got := d.count(t, "events_default", "deliveries_default", "deliveries"); got != "[0 0 9]" {
		t.Errorf("rows: %s", got)
	}
	if have := d.days.span(); have.from != postrider.FirstDeliveryID(list[0].Time) || have.to != postrider.FirstDeliveryID(list[len(list)-1].next().Time) {
		t.Errorf("the days are %v to %v, known as %v", list[0], list[len(list)-1], have)
	}
}
