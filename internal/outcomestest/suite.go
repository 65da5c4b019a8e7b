// Package outcomestest is the conformance and benchmark suite of postrider.OutcomeLog. Every engine that an archiver reads
// passes it by calling Run.
package outcomestest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// Harness is a log that is empty, with what differs among engines.
type Harness struct {
	Log    postrider.OutcomeLog
	Reopen func(t *testing.T) postrider.OutcomeLog // as after a crash
}

const patience = 60 * time.Second

// Run holds an engine against the contract. open is called once a subtest.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Harness){
		"RecordThenRead":      testRecordThenRead,
		"SurvivesCrash":       testSurvivesCrash,
		"ReadsFromPosition":   testReadsFromPosition,
		"UnarchivedComeAgain": testUnarchivedComeAgain,
		"ThroughAdvances":     testThroughAdvances,
		"ManyRecorders":       testManyRecorders,
		"NextEndsWithContext": testNextEndsWithContext,
		"NextAfterClose":      testNextAfterClose,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// NewOutcomes makes the outcomes of an event: its fan-out and an attempt.
func NewOutcomes(n int) []postrider.Outcome {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(n) * time.Millisecond)
	head := postrider.EventHead{ID: fmt.Sprintf("evt_%d", n), Type: "core.orders.created", ContentType: "application/json", AcceptedAt: at,
		Position: postrider.Position(fmt.Sprint(n + 1)), Size: 7}
	event := &postrider.Event{ID: head.ID, Tenant: "acme", Position: head.Position, AcceptedAt: at}
	return []postrider.Outcome{
		{Kind: postrider.OutcomeFanOut, At: at, Tenant: "acme", Event: head, Targets: []int64{5}, Off: []int64{6}},
		{Kind: postrider.OutcomeAttempt, At: at.Add(time.Second), Tenant: "acme", Event: head, DeliveryID: postrider.NewDeliveryID(event, 5), TargetID: 5,
			Attempts: 1, State: postrider.StateRetrying, NextAt: at.Add(time.Minute),
			Attempt: &postrider.Attempt{Number: 1, StartedAt: at, Duration: 12 * time.Millisecond, Class: postrider.ClassStatus, Status: 503, Head: []byte("no\x00")}},
	}
}

func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func record(t *testing.T, log postrider.OutcomeLog, outcomes []postrider.Outcome) {
	t.Helper()
	ctx := patient(t)
	commit, err := log.Record(ctx, outcomes)
	if err == nil {
		err = commit.Wait(ctx)
	}
	if err != nil {
		t.Fatalf("record: %v", err)
	}
}

// archive is what a database keeps of positions.
type archive map[string]postrider.Position

func (a archive) reader(t *testing.T, log postrider.OutcomeLog) postrider.OutcomeReader {
	t.Helper()
	r, err := log.Reader(patient(t), func(_ context.Context, partition string) (postrider.Position, error) { return a[partition], nil })
	if err != nil || r == nil {
		t.Fatalf("reader: %v, %v", r, err)
	}
	return r
}

// collect reads until n outcomes are there. Each batch is archived, if archive is set.
func collect(t *testing.T, r postrider.OutcomeReader, n int, done func(*postrider.OutcomeBatch)) []postrider.Outcome {
	t.Helper()
	ctx := patient(t)
	var all []postrider.Outcome
	for len(all) < n {
		b, err := r.Next(ctx)
		if postrider.CodeOf(err) == postrider.CodeUnavailable {
			continue
		}
		if err != nil {
			t.Fatalf("next: %v, after %d of %d outcomes", err, len(all), n)
		}
		all = append(all, b.Outcomes...)
		if done != nil {
			done(b)
		}
	}
	return all
}

func testRecordThenRead(t *testing.T, h Harness) {
	want := NewOutcomes(1)
	record(t, h.Log, want)
	r := archive{}.reader(t, h.Log)
	defer r.Close()
	got := collect(t, r, len(want), func(b *postrider.OutcomeBatch) {
		if b.Partition == "" || b.End == "" {
			t.Errorf("a batch names no partition or no end: %+v", b)
		}
	})
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func testSurvivesCrash(t *testing.T, h Harness) {
	for n := range 10 {
		record(t, h.Log, NewOutcomes(n))
	}
	r := archive{}.reader(t, h.Reopen(t))
	defer r.Close()
	if got := events(collect(t, r, 20, nil)); len(got) != 10 {
		t.Errorf("outcomes of %d events, want 10", len(got))
	}
}

func events(outcomes []postrider.Outcome) map[string]int {
	ids := map[string]int{}
	for _, o := range outcomes {
		ids[o.Event.ID]++
	}
	return ids
}

func testReadsFromPosition(t *testing.T, h Harness) {
	for n := range 10 {
		record(t, h.Log, NewOutcomes(n))
	}
	positions := archive{}
	r := positions.reader(t, h.Log)
	collect(t, r, 20, func(b *postrider.OutcomeBatch) {
		positions[b.Partition] = b.End
		r.Archived(b)
	})
	if err := r.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	log := h.Reopen(t)
	record(t, log, NewOutcomes(10))
	again := positions.reader(t, log)
	defer again.Close()
	for _, o := range collect(t, again, 2, nil) {
		if o.Event.ID != "evt_10" {
			t.Errorf("%s was read again", o.Event.ID)
		}
	}
}

func testUnarchivedComeAgain(t *testing.T, h Harness) {
	for n := range 5 {
		record(t, h.Log, NewOutcomes(n))
	}
	r := archive{}.reader(t, h.Log)
	collect(t, r, 10, nil)
	if err := r.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	again := archive{}.reader(t, h.Reopen(t))
	defer again.Close()
	if got := events(collect(t, again, 10, nil)); len(got) != 5 {
		t.Errorf("outcomes of %d events, want 5", len(got))
	}
}

// With nothing recorded, time passes all the same.
func testThroughAdvances(t *testing.T, h Harness) {
	record(t, h.Log, NewOutcomes(1))
	recorded := time.Now()
	r := archive{}.reader(t, h.Log)
	defer r.Close()
	ctx := patient(t)
	last := map[string]time.Time{}
	for {
		b, err := r.Next(ctx)
		if postrider.CodeOf(err) == postrider.CodeUnavailable {
			continue
		}
		if err != nil {
			t.Fatalf("next: %v; through %v", err, last)
		}
		if b.Through.Before(last[b.Partition]) {
			t.Errorf("partition %s went back from %v to %v", b.Partition, last[b.Partition], b.Through)
		}
		last[b.Partition] = b.Through
		if b.Through.After(recorded) {
			return
		}
	}
}

func testManyRecorders(t *testing.T, h Harness) {
	const recorders, each = 8, 20
	var work sync.WaitGroup
	for p := range recorders {
		work.Go(func() {
			for n := range each {
				commit, err := h.Log.Record(t.Context(), NewOutcomes(p*each+n))
				if err == nil {
					err = commit.Wait(t.Context())
				}
				if err != nil {
					t.Errorf("record: %v", err)
				}
			}
		})
	}
	r := archive{}.reader(t, h.Log)
	defer r.Close()
	got := events(collect(t, r, 2*recorders*each, r.Archived))
	work.Wait()
	if len(got) != recorders*each {
		t.Errorf("outcomes of %d events, want %d", len(got), recorders*each)
	}
}

func testNextEndsWithContext(t *testing.T, h Harness) {
	r := archive{}.reader(t, h.Log)
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for {
		_, err := r.Next(ctx)
		if err == nil {
			continue // a batch that says that time has passed
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("next: %v", err)
		}
		return
	}
}

func testNextAfterClose(t *testing.T, h Harness) {
	r := archive{}.reader(t, h.Log)
	if err := r.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	for range 3 { // what was read before may come first
		if _, err := r.Next(patient(t)); postrider.CodeOf(err) == postrider.CodeGone {
			return
		}
	}
	t.Error("next goes on after close")
}

// Benchmark measures records of an event's outcomes.
func Benchmark(b *testing.B, open func(b *testing.B) postrider.OutcomeLog) {
	log := open(b)
	var last *postrider.Commit
	for n := range b.N {
		commit, err := log.Record(b.Context(), NewOutcomes(n))
		if err != nil {
			b.Fatal(err)
		}
		last = commit
	}
	if err := last.Wait(b.Context()); err != nil {
		b.Fatal(err)
	}
}
