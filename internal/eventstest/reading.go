package eventstest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

func testOrderInAPartition(t *testing.T, h Harness) {
	last := map[string][]string{}
	appended := map[string]int{}
	for n := range 50 {
		e := NewEvent("acme", n)
		appendAll(t, h.Log, e)
		appended[e.ID] = n
	}
	r := reader(t, h.Log)
	defer r.Close()
	collect(t, r, 50, func(b *postrider.EventBatch) {
		for _, e := range b.Events {
			last[b.Partition] = append(last[b.Partition], e.ID)
		}
	})
	for partition, ids := range last {
		if !slices.IsSortedFunc(ids, func(a, b string) int { return appended[a] - appended[b] }) {
			t.Errorf("partition %s is out of order: %v", partition, ids)
		}
	}
}

// What was read and not committed is read again, the same.
func testUncommittedComeAgain(t *testing.T, h Harness) {
	want := map[string]*postrider.Event{}
	for n := range 10 {
		e := NewEvent("acme", n)
		appendAll(t, h.Log, e)
		want[e.ID] = e
	}
	r := reader(t, h.Log)
	collect(t, r, 10, nil)
	log := h.Reopen(t)
	again := reader(t, log)
	defer again.Close()
	for _, e := range collect(t, again, 10, nil) {
		same(t, e, want[e.ID])
	}
}

// What was committed is not read again after the reader was closed, which makes positions durable.
func testCommittedAreNotRead(t *testing.T, h Harness) {
	for n := range 10 {
		appendAll(t, h.Log, NewEvent("acme", n))
	}
	r := reader(t, h.Log)
	collect(t, r, 10, r.Commit)
	if err := r.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	log := h.Reopen(t)
	appendAll(t, log, NewEvent("acme", 10))
	again := reader(t, log)
	defer again.Close()
	if got := collect(t, again, 1, nil)[0]; got.ID != "evt_10" {
		t.Errorf("%s was read again", got.ID)
	}
}

func testNextIgnoresCommit(t *testing.T, h Harness) {
	r := reader(t, h.Log)
	defer r.Close()
	var batches []*postrider.EventBatch
	for n := range 5 {
		appendAll(t, h.Log, NewEvent("acme", n))
		got := collect(t, r, 1, func(b *postrider.EventBatch) { batches = append(batches, b) })
		if got[0].ID != fmt.Sprintf("evt_%d", n) {
			t.Fatalf("read %s, want evt_%d", got[0].ID, n)
		}
	}
	for _, b := range batches {
		r.Commit(b)
	}
}

// Of a backlog no more is handed out, while nothing is committed, than a crash may have read again; what is committed makes room, also if
// nothing else is written.
func testUncommittedAreBounded(t *testing.T, h Harness) {
	const backlog, bound = 3000, 1000
	for n := 0; n < backlog; n += 100 {
		list := make([]*postrider.Event, 100)
		for i := range list {
			list[i] = NewEvent("acme", n+i)
		}
		appendAll(t, h.Log, list...)
	}
	r := reader(t, h.Log)
	ctx := patient(t)
	var batches []*postrider.EventBatch
	open := map[string]int{}
	for seen := 0; seen < backlog; {
		b, err := nextWithin(ctx, r, 500*time.Millisecond)
		switch {
		case err == nil:
			batches = append(batches, b)
			seen += len(b.Events)
			if open[b.Partition] += len(b.Events); open[b.Partition] > bound {
				t.Fatalf("%d events of partition %s were handed out and not committed, want at most %d", open[b.Partition], b.Partition, bound)
			}
		case ctx.Err() != nil:
			t.Fatalf("nothing more comes after %d of %d events: %v", seen, backlog, err)
		case postrider.CodeOf(err) != postrider.CodeUnavailable: // nothing more comes, for now
			for _, b := range batches {
				r.Commit(b)
			}
			batches = nil
			clear(open)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// nextWithin is Next, which must not take longer.
func nextWithin(ctx context.Context, r postrider.EventReader, d time.Duration) (*postrider.EventBatch, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return r.Next(ctx)
}

// Positions, times and derived ids are the same at each read.
func testSameAfterReread(t *testing.T, h Harness) {
	e := NewEvent("acme", 1)
	appendAll(t, h.Log, e)
	r := reader(t, h.Log)
	first := collect(t, r, 1, nil)[0]
	log := h.Reopen(t)
	again := reader(t, log)
	defer again.Close()
	second := collect(t, again, 1, nil)[0]
	if first.Position != second.Position || !first.AcceptedAt.Equal(second.AcceptedAt) || first.Position != e.Position {
		t.Errorf("first %s at %v, then %s at %v", first.Position, first.AcceptedAt, second.Position, second.AcceptedAt)
	}
	if postrider.NewDeliveryID(first, 7) != postrider.NewDeliveryID(second, 7) {
		t.Error("the delivery ids differ")
	}
}

func testManyPublishers(t *testing.T, h Harness) {
	const publishers, each = 8, 25
	var work sync.WaitGroup
	for p := range publishers {
		work.Go(func() {
			for n := range each {
				commit, err := h.Log.Append(t.Context(), []*postrider.Event{NewEvent("acme", p*each+n)})
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				if err := commit.Wait(t.Context()); err != nil {
					t.Errorf("commit: %v", err)
				}
			}
		})
	}
	r := reader(t, h.Log)
	defer r.Close()
	seen := map[string]bool{}
	for _, e := range collect(t, r, publishers*each, r.Commit) {
		if seen[e.ID] {
			t.Errorf("%s came twice", e.ID)
		}
		seen[e.ID] = true
	}
	work.Wait()
}

func testFind(t *testing.T, h Harness) {
	finder, ok := h.Log.(postrider.EventFinder)
	if !ok {
		t.Skip("the log does not find events by id")
	}
	older, newer, foreign := NewEvent("acme", 1), NewEvent("acme", 1), NewEvent("globex", 1)
	appendAll(t, h.Log, older)
	appendAll(t, h.Log, newer)
	appendAll(t, h.Log, foreign)
	got, err := finder.Find(patient(t), "acme", "evt_1")
	if err != nil || got.Position != newer.Position {
		t.Errorf("found %+v, %v; want the newest at %s", got, err, newer.Position)
	}
	if _, err := finder.Find(patient(t), "initech", "evt_1"); postrider.CodeOf(err) != postrider.CodeNotFound {
		t.Errorf("another tenant's event: %v", err)
	}
}

// Benchmark measures appends of 1 KiB by many publishers.
func Benchmark(b *testing.B, open func(b *testing.B) postrider.EventLog) {
	log := open(b)
	body := random(1024)
	b.SetParallelism(32)
	b.SetBytes(1024)
	b.RunParallel(func(pb *testing.PB) {
		for n := 0; pb.Next(); n++ {
			commit, err := log.Append(b.Context(), []*postrider.Event{withBody(n, body)})
			if err == nil {
				err = commit.Wait(b.Context())
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// What was read may go once it is old; what is young, or was not read, never does.
func testExpireWhatWasRead(t *testing.T, h Harness) {
	now := time.Now().Truncate(time.Millisecond)
	var old, young []*postrider.Event
	for n := range 10 {
		e := NewEvent("acme", n)
		e.AcceptedAt = now.Add(-time.Hour)
		if n >= 5 {
			e.AcceptedAt = now
		}
		appendAll(t, h.Log, e)
		if n < 5 {
			old = append(old, e)
		} else {
			young = append(young, e)
		}
	}
	if n, err := h.Log.Expire(patient(t), now.Add(-time.Minute)); n != 0 || err != nil {
		t.Fatalf("%d events were removed before they were read, %v", n, err)
	}
	r := reader(t, h.Log)
	collect(t, r, 10, r.Commit)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	log := h.Reopen(t)
	n, err := log.Expire(patient(t), now.Add(-time.Minute))
	if err != nil || n != 0 && n != len(old) {
		t.Fatalf("%d of %d old events were removed, %v", n, len(old), err)
	}
	for i, e := range slices.Concat(old, young) {
		got, err := log.Read(patient(t), e.Position)
		switch {
		case i < n:
			if postrider.CodeOf(err) != postrider.CodeGone {
				t.Errorf("event %d, which was removed: %v", i, err)
			}
		case err != nil:
			t.Errorf("event %d: %v", i, err)
		default:
			same(t, got, e)
		}
	}
}
