package kafka

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/postrider/postrider"
)

// ledger counts what readers of a group return.
type ledger struct {
	mu      sync.Mutex
	seen    map[string]int
	allowed int // events that a reader had in hand, uncommitted, when their partition went to another
	changed chan struct{}
}

// follow reads and commits until ctx ends, then leaves the group.
func (l *ledger) follow(ctx context.Context, r postrider.EventReader) {
	defer r.Close()
	for {
		b, err := r.Next(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			continue
		}
		l.mu.Lock()
		for _, e := range b.Events {
			l.seen[e.ID]++
		}
		select {
		case <-b.Lost:
			l.allowed += len(b.Events)
		default:
			r.Commit(b)
		}
		l.mu.Unlock()
		signal(l.changed)
	}
}

// membersComeAndGo: while events come, a second member joins and leaves several times. Nothing is skipped, and nothing is
// read twice but what was in hand, uncommitted, when its partition went.
func membersComeAndGo(t *testing.T, url string) {
	t.Helper()
	const moves, each = 3, 300
	patient := func(o *EventOptions) { o.RevokeWait = 30 * time.Second }
	l, other := openEvents(t, url+"events?partitions=4", patient), openEvents(t, url+"events?partitions=4", patient)
	book := &ledger{seen: make(map[string]int), changed: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(within(t))
	var work sync.WaitGroup
	work.Go(func() { book.follow(ctx, reader(t, l)) })
	var sent atomic.Int64
	loaded := make(chan struct{})
	go func() { // load
		defer close(loaded)
		for ctx.Err() == nil && sent.Load() < moves*each {
			n := sent.Load()
			commit, err := l.Append(ctx, []*postrider.Event{event(fmt.Sprintf("a%d", n), "x"), event(fmt.Sprintf("b%d", n), "x")})
			if err == nil && commit.Wait(ctx) == nil {
				sent.Add(1)
			}
		}
	}()
	for range moves {
		guest, leave := context.WithCancel(ctx)
		var visit sync.WaitGroup
		r := reader(t, other)
		visit.Go(func() { book.follow(guest, r) })
		m := r.(*eventReader).member
		for len(m.all()) == 0 && pauseFor(ctx, 5*time.Millisecond) { // until it has partitions
		}
		leave()
		visit.Wait()
	}
	<-loaded
	want := int(sent.Load()) * 2
	for {
		book.mu.Lock()
		distinct := len(book.seen)
		book.mu.Unlock()
		if distinct >= want {
			break
		}
		select {
		case <-book.changed:
		case <-ctx.Done():
			t.Fatalf("%d of %d events came", distinct, want)
		}
	}
	cancel()
	work.Wait()
	twice := 0
	for _, n := range book.seen {
		twice += n - 1
	}
	if twice > book.allowed {
		t.Errorf("%d events were read twice, of which only %d were in hand when their partition went", twice, book.allowed)
	}
	t.Logf("%d events over %d moves, %d read twice, %d in hand at a move", want, moves, twice, book.allowed)
}

// TestBacklogIsBounded: while nobody takes what is read, only so much of a backlog is in memory; when it is taken, all comes.
func TestBacklogIsBounded(t *testing.T) {
	t.Parallel()
	const buffer, events, size = 8 << 20, 1024, 64 << 10 // a backlog of 64 MiB
	_, url := cluster(t, kfake.DefaultNumPartitions(8))
	l := openEvents(t, url+"events", func(o *EventOptions) { o.BufferBytes = buffer })
	for i := range events / 64 {
		var list []*postrider.Event
		for j := range 64 {
			list = append(list, event(fmt.Sprintf("e%d-%d", i, j), strings.Repeat("x", size)))
		}
		add(t, l, list...)
	}
	r := reader(t, l)
	m := r.(*eventReader).member
	most, still := int64(0), 0
	for still < 100 { // until nothing more is fetched for a while
		before := m.buffered.Load()
		if !pauseFor(within(t), 10*time.Millisecond) {
			t.Fatal("it never stops reading ahead")
		}
		after := m.buffered.Load()
		most = max(most, after)
		if still++; after != before || after == 0 {
			still = 0
		}
	}
	// Half of the buffer, and the one poll that went over it: of each partition a fetch and the batch that ends it.
	if limit := int64(2 * buffer); most > limit {
		t.Errorf("%d bytes were read ahead, want at most %d", most, limit)
	}
	t.Logf("%d bytes read ahead of a backlog of %d", most, events*size)
	take(t, r, events, true)
}

// A partition that waits for the dead-letter topic or the registry does not take the room of others.
func TestHeldPartitionsLeaveRoom(t *testing.T) {
	t.Parallel()
	m := &member{memberOptions: memberOptions{buffer: 1 << 20, metrics: newMetrics(nil, "events")}, room: make(chan struct{}, 1)}
	p := &part{member: m}
	p.account(700 << 10)
	if m.buffered.Load() != 700<<10 {
		t.Fatalf("%d bytes counted", m.buffered.Load())
	}
	p.hold(true)
	p.account(10)
	if m.buffered.Load() != 0 {
		t.Errorf("%d bytes of a held partition counted", m.buffered.Load())
	}
	p.hold(false)
	p.account(-10)
	if m.buffered.Load() != 700<<10 {
		t.Errorf("%d bytes counted after it", m.buffered.Load())
	}
}
