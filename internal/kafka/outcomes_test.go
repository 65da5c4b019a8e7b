package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

func openOutcomes(t *testing.T, url string) *OutcomeLog {
	t.Helper()
	l, err := OpenOutcomes(within(t), OutcomeOptions{URL: url, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func fanOut(id string, targets ...int64) postrider.Outcome {
	at := time.UnixMilli(1_700_000_000_000).UTC()
	return postrider.Outcome{Kind: postrider.OutcomeFanOut, At: at, Tenant: "acme", Targets: targets,
		Event: postrider.EventHead{ID: id, Type: "a.b", AcceptedAt: at, Position: "0-1-2", Size: 3}}
}

func record(t *testing.T, l *OutcomeLog, outcomes ...postrider.Outcome) {
	t.Helper()
	commit, err := l.Record(within(t), outcomes)
	if err != nil {
		t.Fatal(err)
	}
	if err := commit.Wait(within(t)); err != nil {
		t.Fatal(err)
	}
}

func beginning(context.Context, string) (postrider.Position, error) { return "", nil }

func outcomesOfOneEventMeetInOnePartition(t *testing.T, url string) {
	t.Helper()
	l := openOutcomes(t, url+"outcomes")
	for round := range 2 {
		var list []postrider.Outcome
		for i := range 40 {
			list = append(list, fanOut(fmt.Sprintf("e%d", i), int64(round+1)))
		}
		record(t, l, list...)
	}
	r, err := l.Reader(within(t), beginning)
	if err != nil {
		t.Fatal(err)
	}
	where, count := make(map[string]string), 0
	for count < 80 {
		b, err := r.Next(within(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range b.Outcomes {
			if p := where[o.Event.ID]; p != "" && p != b.Partition {
				t.Fatalf("%s lies in %s and in %s", o.Event.ID, p, b.Partition)
			}
			where[o.Event.ID] = b.Partition
			count++
		}
		r.Archived(b)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func outcomesAreReadFromThePositionGiven(t *testing.T, url string) {
	t.Helper()
	l := openOutcomes(t, url+"outcomes?partitions=1")
	record(t, l, fanOut("a", 1))
	record(t, l, fanOut("b", 1))
	r, err := l.Reader(within(t), beginning)
	if err != nil {
		t.Fatal(err)
	}
	var end postrider.Position
	for seen := 0; seen < 2; {
		b, err := r.Next(within(t))
		if err != nil {
			t.Fatal(err)
		}
		seen += len(b.Outcomes)
		end = b.End
	}
	if err := r.Close(); err != nil { // nothing archived in the log's eyes: the position given decides
		t.Fatal(err)
	}
	record(t, l, fanOut("c", 1))
	var failures atomic.Int64
	r, err = l.Reader(within(t), func(context.Context, string) (postrider.Position, error) {
		if failures.Add(1) == 1 {
			return "", postrider.Errorf(postrider.CodeUnavailable, "the database is away")
		}
		return end, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for ctx := within(t); ; {
		b, err := r.Next(ctx)
		if postrider.CodeOf(err) == postrider.CodeUnavailable && ctx.Err() == nil {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Outcomes) == 0 {
			continue
		}
		if len(b.Outcomes) != 1 || b.Outcomes[0].Event.ID != "c" {
			t.Fatalf("read %d outcomes from %s, the first of %s; want c alone", len(b.Outcomes), end, b.Outcomes[0].Event.ID)
		}
		return
	}
}

func throughMovesWhileNothingComes(t *testing.T, url string) {
	t.Helper()
	l := openOutcomes(t, url+"outcomes?partitions=1")
	record(t, l, fanOut("a", 1))
	after := time.Now()
	r, err := l.Reader(within(t), beginning)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	seen := 0
	for {
		b, err := r.Next(within(t))
		if err != nil {
			t.Fatal(err)
		}
		seen += len(b.Outcomes)
		r.Archived(b)
		if b.Through.After(after) {
			break
		}
	}
	if seen != 1 {
		t.Fatalf("Through passed the outcome, which was returned %d times", seen)
	}
}

func hugeFanOutIsSplit(t *testing.T, url string) {
	t.Helper()
	l := openOutcomes(t, url+"outcomes?partitions=1")
	targets := make([]int64, 400_000)
	for i := range targets {
		targets[i] = int64(i+1) * 7_777_777_777 % (1 << 53)
	}
	record(t, l, fanOut("a", targets...))
	r, err := l.Reader(within(t), beginning)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := make(map[int64]bool)
	for len(got) < len(targets) {
		b, err := r.Next(within(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range b.Outcomes {
			for _, id := range o.Targets {
				got[id] = true
			}
		}
	}
	for _, id := range targets {
		if !got[id] {
			t.Fatalf("target %d is missing", id)
		}
	}
}

func TestClosedLog(t *testing.T) {
	t.Parallel()
	_, url := cluster(t)
	l := openOutcomes(t, url+"outcomes")
	r, err := l.Reader(within(t), beginning)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(within(t)); postrider.CodeOf(err) != postrider.CodeGone {
		t.Errorf("Next: %v", err)
	}
	if _, err := l.Record(within(t), nil); postrider.CodeOf(err) != postrider.CodeGone || errors.Is(err, context.Canceled) {
		t.Errorf("Record: %v", err)
	}
}
