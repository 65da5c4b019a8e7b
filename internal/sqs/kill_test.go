package sqs_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/queuetest"
	"github.com/postrider/postrider/internal/stacktest"
)

// TestStackKill kills the server three times while items are put, taken and settled. What was acknowledged comes, and what was
// settled does not come again, save what was under way at a kill.
func TestStackKill(t *testing.T) { //nolint:paralleltest // it kills the server
	endpoint(t)
	stack := stacktest.Control(t)
	q := open(t, fmt.Sprintf("pr-%d", time.Now().UnixNano()), 10*time.Second)
	load, end := context.WithCancel(t.Context())
	defer end()
	taking, endTaking := context.WithCancel(t.Context())
	defer endTaking()
	l := &ledger{put: map[string]bool{}, got: map[string]int{}}
	var putters, takers sync.WaitGroup
	for i := range 4 {
		putters.Go(func() { l.putUntil(load, q, i) })
		takers.Go(func() { l.takeUntil(taking, q) })
	}
	for range 3 {
		<-time.After(3 * time.Second) // of load
		stack("kill", "sqs")
		<-time.After(2 * time.Second) // of outage
		stack("start", "sqs")
		until(t, func() bool { return q.Check(t.Context()) == nil })
	}
	<-time.After(2 * time.Second) // of load
	end()
	putters.Wait()
	until(t, func() bool { return l.missing() == 0 })
	endTaking()
	takers.Wait()
	twins := 0
	for _, n := range l.got {
		twins += n - 1
	}
	t.Logf("%d acknowledged, %d came, %d twins", len(l.put), len(l.got), twins)
	if len(l.put) < 100 {
		t.Errorf("%d acknowledged: no load", len(l.put))
	}
}

type ledger struct {
	mu  sync.Mutex
	put map[string]bool // acknowledged
	got map[string]int  // settled
}

func (l *ledger) missing() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.put {
		if l.got[id] == 0 {
			n++
		}
	}
	return n
}

func (l *ledger) putUntil(ctx context.Context, q postrider.Queue, worker int) {
	for n := worker * 1_000_000; ctx.Err() == nil; n++ {
		pack := queuetest.NewPack("acme", n, 1)
		commit, err := q.Put(ctx, postrider.Item{Lane: postrider.LaneFirst, Pack: pack})
		if err == nil {
			err = commit.Wait(ctx)
		}
		if err == nil {
			l.mu.Lock()
			l.put[pack.Deliveries[0].Event.ID] = true
			l.mu.Unlock()
		}
	}
}

func (l *ledger) takeUntil(ctx context.Context, q postrider.Queue) {
	for ctx.Err() == nil {
		leases, err := q.Take(ctx, postrider.TakeRequest{Lane: postrider.LaneFirst, Credit: 10})
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		for _, lease := range leases {
			commit, err := q.Settle(ctx, lease)
			if err == nil {
				err = commit.Wait(ctx)
			}
			if err == nil {
				l.mu.Lock()
				l.got[lease.Pack.Deliveries[0].Event.ID]++
				l.mu.Unlock()
			}
		}
	}
}
