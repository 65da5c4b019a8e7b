package queuetest

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

func testCredit(t *testing.T, h Harness) {
	for n := range 6 {
		put(t, h.Queue, item(postrider.LaneFirst, NewPack("acme", n, 4)))
	}
	seen := 0
	for seen < 6 {
		got, err := h.Queue.Take(patient(t), postrider.TakeRequest{Lane: postrider.LaneFirst, Credit: 10})
		if err != nil {
			t.Fatalf("take: %v", err)
		}
		if len(got) == 0 || len(got) > 2 {
			t.Fatalf("credit 10 gave %d packs of 4", len(got))
		}
		seen += len(got)
		for _, l := range got {
			settle(t, h.Queue, l)
		}
	}
	put(t, h.Queue, item(postrider.LaneFirst, NewPack("acme", 7, 50)))
	got, err := h.Queue.Take(patient(t), postrider.TakeRequest{Lane: postrider.LaneFirst, Credit: 1})
	if err != nil || len(got) != 1 {
		t.Errorf("a pack of 50 for a credit of 1: %d, %v", len(got), err)
	}
}

func shortest(h Harness) time.Duration { return max(h.Shortest, 300*time.Millisecond) }

func testDelay(t *testing.T, h Harness) {
	delay := 2 * shortest(h)
	begun := time.Now()
	put(t, h.Queue, postrider.Item{Lane: postrider.LaneRetry, Delay: delay, Pack: NewPack("acme", 1, 1)})
	put(t, h.Queue, postrider.Item{Lane: postrider.LaneRetry, Pack: NewPack("acme", 2, 1)})
	leases := take(t, h.Queue, postrider.LaneRetry, 2)
	if leases[0].Pack.Deliveries[0].Event.ID != "evt_2" {
		t.Error("what is delayed came first")
	}
	if waited := time.Since(begun); waited < delay-10*time.Millisecond {
		t.Errorf("what is delayed by %v came after %v", delay, waited)
	}
	begun = time.Now() // a retry that is handed on early is put off in the lane of what is due
	settle(t, h.Queue, leases[0], postrider.Item{Lane: postrider.LaneBulk, Delay: delay, Pack: leases[0].Pack})
	take(t, h.Queue, postrider.LaneBulk, 1)
	if waited := time.Since(begun); waited < delay-10*time.Millisecond {
		t.Errorf("what follows and is delayed by %v came after %v", delay, waited)
	}
}

func testReturn(t *testing.T, h Harness) {
	put(t, h.Queue, item(postrider.LaneFirst, NewPack("acme", 1, 1)))
	l := take(t, h.Queue, postrider.LaneFirst, 1)[0]
	begun := time.Now()
	delay := shortest(h)
	if err := h.Queue.Return(patient(t), l, delay); err != nil {
		t.Fatalf("return: %v", err)
	}
	again := take(t, h.Queue, postrider.LaneFirst, 1)[0]
	if waited := time.Since(begun); waited < delay-10*time.Millisecond {
		t.Errorf("what was returned for %v came after %v", delay, waited)
	}
	if again.Receives <= l.Receives {
		t.Errorf("received %d times, then %d", l.Receives, again.Receives)
	}
	settle(t, h.Queue, again)
	nothing(t, h.Queue, postrider.LaneFirst)
}

func testLeasedIsNotTakenAgain(t *testing.T, h Harness) {
	put(t, h.Queue, item(postrider.LaneFirst, NewPack("acme", 1, 1)))
	take(t, h.Queue, postrider.LaneFirst, 1)
	nothing(t, h.Queue, postrider.LaneFirst)
}

func testLeaseExpires(t *testing.T, h Harness) {
	put(t, h.Queue, item(postrider.LaneFirst, NewPack("acme", 1, 1)))
	first := take(t, h.Queue, postrider.LaneFirst, 1)[0]
	second := take(t, h.Queue, postrider.LaneFirst, 1)[0]
	if second.Pack.Deliveries[0].ID != first.Pack.Deliveries[0].ID {
		t.Errorf("another item came: %+v", second.Pack)
	}
	if second.Receives <= first.Receives {
		t.Errorf("received %d times, then %d", first.Receives, second.Receives)
	}
	settle(t, h.Queue, second)
	nothing(t, h.Queue, postrider.LaneFirst)
}

// A lease that is over may be settled still: nothing fails, and the item is gone in the end.
func testSettleAfterExpiry(t *testing.T, h Harness) {
	put(t, h.Queue, item(postrider.LaneFirst, NewPack("acme", 1, 1)))
	first := take(t, h.Queue, postrider.LaneFirst, 1)[0]
	second := take(t, h.Queue, postrider.LaneFirst, 1)[0] // after the lease was over
	settle(t, h.Queue, first)
	settle(t, h.Queue, second)
	nothing(t, h.Queue, postrider.LaneFirst)
}

func testSettleWithFollow(t *testing.T, h Harness) {
	put(t, h.Queue, item(postrider.LaneFirst, NewPack("acme", 1, 3)))
	l := take(t, h.Queue, postrider.LaneFirst, 1)[0]
	retry := &postrider.Pack{Tenant: "acme", Deliveries: l.Pack.Deliveries[:1]}
	again := &postrider.Pack{Tenant: "acme", Deliveries: l.Pack.Deliveries[1:2]}
	settle(t, h.Queue, l, item(postrider.LaneRetry, retry), item(postrider.LaneBulk, again))
	q := h.Reopen(t)
	if got := take(t, q, postrider.LaneRetry, 1)[0]; got.Pack.Deliveries[0].ID != l.Pack.Deliveries[0].ID {
		t.Errorf("in the retry lane: %+v", got.Pack)
	}
	if got := take(t, q, postrider.LaneBulk, 1)[0]; got.Pack.Deliveries[0].ID != l.Pack.Deliveries[1].ID {
		t.Errorf("in the bulk lane: %+v", got.Pack)
	}
	nothing(t, q, postrider.LaneFirst)
}

func testSurvivesCrash(t *testing.T, h Harness) {
	for n := range 20 {
		put(t, h.Queue, item(postrider.LaneFirst, NewPack(fmt.Sprintf("t%d", n%3), n, 1)))
	}
	seen := map[string]bool{}
	for _, l := range take(t, h.Reopen(t), postrider.LaneFirst, 20) {
		seen[l.Pack.Deliveries[0].Event.ID] = true
	}
	if len(seen) != 20 {
		t.Errorf("%d of 20 items are there", len(seen))
	}
}

func testSettledStaysSettled(t *testing.T, h Harness) {
	for n := range 5 {
		put(t, h.Queue, item(postrider.LaneFirst, NewPack("acme", n, 1)))
	}
	for _, l := range take(t, h.Queue, postrider.LaneFirst, 5) {
		settle(t, h.Queue, l)
	}
	nothing(t, h.Reopen(t), postrider.LaneFirst)
}

func testTooLarge(t *testing.T, h Harness) {
	limit := h.Queue.Limits().MaxBytes
	p := NewPack("acme", 1, 1)
	p.Deliveries[0].Event.Payload = postrider.Payload{Size: int64(limit), Bytes: bytes.Repeat([]byte{7}, limit)}
	large := item(postrider.LaneFirst, p)
	if h.Queue.Fits(&large) {
		t.Errorf("%d bytes fit a limit of %d", limit, limit)
	}
	small := item(postrider.LaneFirst, NewPack("acme", 2, 1))
	if !h.Queue.Fits(&small) {
		t.Error("a small item does not fit")
	}
	if _, err := h.Queue.Put(patient(t), small, large); postrider.CodeOf(err) != postrider.CodeTooLarge {
		t.Errorf("put: %v", err)
	}
	nothing(t, h.Queue, postrider.LaneFirst)
}

func testTenantsTakeTurns(t *testing.T, h Harness) {
	if !h.Fair {
		t.Skip("the engine does not choose among tenants")
	}
	for n := range 50 {
		put(t, h.Queue, item(postrider.LaneFirst, NewPack("noisy", n, 1)))
	}
	put(t, h.Queue, item(postrider.LaneFirst, NewPack("quiet", 99, 1)))
	got, err := h.Queue.Take(patient(t), postrider.TakeRequest{Lane: postrider.LaneFirst, Credit: 2})
	if err != nil || len(got) != 2 {
		t.Fatalf("take: %d, %v", len(got), err)
	}
	if got[0].Pack.Tenant == got[1].Pack.Tenant {
		t.Errorf("both items are of %s", got[0].Pack.Tenant)
	}
}

func testFullTenantsAreSkipped(t *testing.T, h Harness) {
	if !h.Fair {
		t.Skip("the engine does not choose among tenants")
	}
	put(t, h.Queue, item(postrider.LaneFirst, NewPack("full", 1, 1)), item(postrider.LaneFirst, NewPack("other", 2, 1)))
	var mu sync.Mutex
	isFull := true
	full := func(tenant string) bool {
		mu.Lock()
		defer mu.Unlock()
		return isFull && tenant == "full"
	}
	got, err := h.Queue.Take(patient(t), postrider.TakeRequest{Lane: postrider.LaneFirst, Credit: 10, Full: full})
	if err != nil || len(got) != 1 || got[0].Pack.Tenant != "other" {
		t.Fatalf("take: %+v, %v", got, err)
	}
	done := make(chan string, 1)
	go func() {
		got, err := h.Queue.Take(patient(t), postrider.TakeRequest{Lane: postrider.LaneFirst, Credit: 10, Full: full})
		if err != nil || len(got) != 1 {
			t.Errorf("take: %d, %v", len(got), err)
			done <- ""
			return
		}
		done <- got[0].Pack.Tenant
	}()
	mu.Lock()
	isFull = false
	mu.Unlock()
	if tenant := <-done; tenant != "full" {
		t.Errorf("took of %q", tenant)
	}
}

func testManyTakers(t *testing.T, h Harness) {
	const items = 100
	for n := range items {
		put(t, h.Queue, item(postrider.LaneFirst, NewPack(fmt.Sprintf("t%d", n%7), n, 1)))
	}
	var mu sync.Mutex
	seen := map[string]int{}
	all := make(chan struct{})
	ctx := patient(t)
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for {
				select {
				case <-all:
					return
				default:
				}
				mu.Lock()
				left := items - len(seen)
				mu.Unlock()
				if left <= 0 {
					return
				}
				got, err := h.Queue.Take(ctx, postrider.TakeRequest{Lane: postrider.LaneFirst, Credit: 5})
				if err != nil {
					return // the last of the takers wait in vain until all is closed
				}
				mu.Lock()
				for _, l := range got {
					seen[l.Pack.Deliveries[0].Event.ID]++
				}
				if len(seen) == items {
					select {
					case <-all:
					default:
						close(all)
					}
				}
				mu.Unlock()
			}
		})
	}
	select {
	case <-all:
	case <-ctx.Done():
		t.Fatalf("%d of %d items were taken", len(seen), items)
	}
	for range 4 { // wake those that wait
		put(t, h.Queue, item(postrider.LaneFirst, NewPack("wake", 1000, 1)))
	}
	work.Wait()
	for id, n := range seen {
		if n != 1 && id != "evt_1000" {
			t.Errorf("%s was taken %d times", id, n)
		}
	}
}

func testStats(t *testing.T, h Harness) {
	put(t, h.Queue, item(postrider.LaneFirst, NewPack("acme", 1, 1)))
	put(t, h.Queue, postrider.Item{Lane: postrider.LaneRetry, Delay: 10 * time.Minute, Pack: NewPack("acme", 2, 1)})
	deadline := time.Now().Add(patience)
	for {
		s, err := h.Queue.Stats(patient(t))
		if err != nil {
			t.Fatalf("stats: %v", err)
		}
		if s[postrider.LaneFirst].Items == 1 && s[postrider.LaneRetry].Delayed == 1 && s[postrider.LaneBulk].Items == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("stats %+v", s)
		}
		<-time.After(50 * time.Millisecond) // a count may be some seconds old
	}
}

// Benchmark measures the usual course of an item: put, take, settle.
func Benchmark(b *testing.B, open func(b *testing.B) postrider.Queue) {
	q := open(b)
	ctx := b.Context()
	go func() {
		for n := range b.N {
			if _, err := q.Put(ctx, item(postrider.LaneFirst, NewPack("acme", n, 1))); err != nil {
				return
			}
		}
	}()
	var last *postrider.Commit
	for taken := 0; taken < b.N; {
		leases, err := q.Take(ctx, postrider.TakeRequest{Lane: postrider.LaneFirst, Credit: 256})
		if err != nil {
			b.Fatal(err)
		}
		taken += len(leases)
		for _, l := range leases {
			if last, err = q.Settle(ctx, l); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := last.Wait(ctx); err != nil {
		b.Fatal(err)
	}
}

// testReturnBeforeCommit gives items back at once, while their put may still be on its way to what is durable.
func testReturnBeforeCommit(t *testing.T, h Harness) {
	const n = 30
	ctx, q := patient(t), h.Queue
	for i := range n {
		commit, err := q.Put(ctx, item(postrider.LaneFirst, NewPack("acme", i, 1)))
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range take(t, q, postrider.LaneFirst, 1) {
			if err := q.Return(ctx, l, 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := commit.Wait(ctx); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	for _, l := range take(t, q, postrider.LaneFirst, n) {
		id := l.Pack.Deliveries[0].Event.ID
		if seen[id] {
			t.Errorf("%s came twice", id)
		}
		seen[id] = true
		settle(t, q, l)
	}
	nothing(t, q, postrider.LaneFirst)
}
