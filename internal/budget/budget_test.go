package budget_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/postrider/postrider/internal/budget"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAloneStopsAtThreeQuarters(t *testing.T) {
	t.Parallel()
	b := budget.New(100)
	for range 7 {
		if !b.TryAcquire("a", 10) {
			t.Fatal("refused below three quarters")
		}
	}
	if b.TryAcquire("a", 10) {
		t.Error("took of the reserve over its fair share")
	}
	if !b.TryAcquire("a", 5) || b.TryAcquire("a", 1) {
		t.Error("three quarters are not the limit")
	}
}

func TestReserveIsForThoseBelowTheirShare(t *testing.T) {
	t.Parallel()
	b := budget.New(100)
	b.TryAcquire("flood", 75)
	for range 2 {
		if !b.TryAcquire("b", 10) {
			t.Fatal("a tenant below its share was refused")
		}
	}
	b.Release("flood", 10)
	if b.TryAcquire("flood", 5) {
		t.Error("the tenant that floods took of the reserve")
	}
	if !b.TryAcquire("b", 10) {
		t.Error("what the flood gave back was not for the other")
	}
	if !b.TryAcquire("c", 1) {
		t.Error("a third tenant was refused although there was room")
	}
}

func TestOverTheTotal(t *testing.T) {
	t.Parallel()
	b := budget.New(100)
	if !b.TryAcquire("a", 1000) {
		t.Fatal("refused though nothing else is held")
	}
	if b.TryAcquire("b", 1) || b.Held() != 1000 {
		t.Error("it is not held alone")
	}
	b.Release("a", 1000)
	if !b.TryAcquire("b", 1) || b.TryAcquire("a", 101) {
		t.Error("granted besides another")
	}
}

func TestNothingIsFree(t *testing.T) {
	t.Parallel()
	b := budget.New(0)
	if b.Total() != 1 || !b.TryAcquire("a", 0) || b.Acquire(t.Context(), "a", -1) != nil || b.Held() != 0 {
		t.Error("a request for nothing was counted")
	}
	b.Release("a", 0)
}

func TestReleaseOfMoreThanIsHeldPanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("it did not")
		}
	}()
	budget.New(10).Release("a", 1)
}

// queue starts an Acquire and waits until it stands in the queue.
func queue(ctx context.Context, b *budget.Budget, tenant string, n int64, done func(error)) {
	go func() { done(b.Acquire(ctx, tenant, n)) }()
	synctest.Wait()
}

func TestWaitersAreServedInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(100)
		b.TryAcquire("x", 100)
		var mu sync.Mutex
		var order []string
		for _, name := range []string{"a1", "a2", "a3", "b1", "c1", "b2"} {
			tenant := name[:1]
			queue(t.Context(), b, tenant, 100, func(error) {
				mu.Lock()
				order = append(order, name)
				mu.Unlock()
				b.Release(tenant, 100)
			})
		}
		b.Release("x", 100)
		synctest.Wait()
		if want := []string{"a1", "b1", "c1", "a2", "b2", "a3"}; !slices.Equal(order, want) {
			t.Errorf("served %v, want %v", order, want)
		}
		if b.Held() != 0 {
			t.Errorf("%d bytes are still held", b.Held())
		}
	})
}

func TestAcquireEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(100)
		b.TryAcquire("x", 100)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var first, second error
		queue(ctx, b, "a", 50, func(err error) { first = err })
		second = errors.New("still waiting")
		queue(t.Context(), b, "a", 1, func(err error) { second = err })
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !errors.Is(first, context.DeadlineExceeded) {
			t.Errorf("ended with %v", first)
		}
		if err := b.Acquire(ctx, "a", 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("granted %v to a context that is over", err)
		}
		b.Release("x", 100)
		synctest.Wait()
		if second != nil || b.Held() != 1 {
			t.Errorf("the next in line got %v, %d held", second, b.Held())
		}
	})
}

// A waiter that gives up must not keep those behind it waiting.
func TestGivingUpServesTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(100)
		b.TryAcquire("x", 60)
		ctx, cancel := context.WithCancel(t.Context())
		queue(ctx, b, "a", 90, func(error) {})
		granted := false
		queue(t.Context(), b, "a", 10, func(err error) { granted = err == nil })
		if granted {
			t.Fatal("the second came before the first")
		}
		cancel()
		synctest.Wait()
		if !granted {
			t.Error("the second waits for one that left")
		}
	})
}

func TestSmallRequestsDoNotStarveALargeOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(100)
		for range 6 {
			b.TryAcquire("small", 10)
		}
		granted := false
		queue(t.Context(), b, "large", 90, func(error) { granted = true })
		turns := 0
		for ; !granted && turns < 1000; turns++ {
			b.Release("small", 10)
			synctest.Wait()
			if !b.TryAcquire("small", 10) {
				break
			}
		}
		for range 5 {
			b.Release("small", 10)
		}
		synctest.Wait()
		if !granted {
			t.Errorf("still waiting after %d small ones", turns)
		}
	})
}

// A tenant over its share that has waited for long holds up nobody who is below his.
func TestAFloodHoldsUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(100)
		b.TryAcquire("flood", 70)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		queue(ctx, b, "flood", 60, func(error) {})
		for i := range 1000 {
			if !b.TryAcquire("b", 20) {
				t.Fatalf("refused the %dth time", i)
			}
			b.Release("b", 20)
		}
	})
}

// Whatever happens: no more than the total is held, and all waiters are served in the end.
func TestRandomly(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(1000)
		var workers sync.WaitGroup
		for i := range 40 {
			workers.Go(func() {
				r := rand.New(rand.NewPCG(seed, uint64(i)))
				name := fmt.Sprint(i % 7)
				for range 200 {
					work(t, b, r, name)
				}
			})
		}
		workers.Wait()
		if b.Held() != 0 {
			t.Errorf("%d bytes are held in the end", b.Held())
		}
	})
}

func work(t *testing.T, b *budget.Budget, r *rand.Rand, name string) {
	t.Helper()
	n := 1 + r.Int64N(400)
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+r.IntN(50))*time.Millisecond)
	defer cancel()
	if r.IntN(4) == 0 {
		ctx = t.Context()
	}
	if !take(ctx, b, r, name, n) {
		return
	}
	defer b.Release(name, n)
	if held := b.Held(); held > 1000 {
		t.Errorf("%d bytes are held", held)
	}
	time.Sleep(time.Duration(r.IntN(5)) * time.Millisecond)
}

func take(ctx context.Context, b *budget.Budget, r *rand.Rand, name string, n int64) bool {
	if r.IntN(2) == 0 {
		return b.TryAcquire(name, n)
	}
	return b.Acquire(ctx, name, n) == nil
}

func BenchmarkTryAcquire(b *testing.B) {
	budget := budget.New(1 << 30)
	b.ReportAllocs()
	for b.Loop() {
		budget.TryAcquire("acme", 1024)
		budget.Release("acme", 1024)
	}
}
