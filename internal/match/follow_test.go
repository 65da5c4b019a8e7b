package match_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/match"
)

// contextOf is a context that the test cancels in a cleanup: t.Context ends before cleanups run, and that is too early for
// what they check.
func contextOf(tb testing.TB) (context.Context, context.CancelFunc) {
	tb.Helper()
	return context.WithCancel(context.WithoutCancel(tb.Context()))
}

func TestChangesCostTheirOwnSize(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		c := follow(t, f)
		for i := range int64(2500) {
			f.put(target("acme", i+1, on))
		}
		level(t, c, f)
		if loads, _ := f.counts(); loads != 1 || c.Version() != 2500 {
			t.Errorf("%d loads, version %d", loads, c.Version())
		}
	})
}

func TestAMissedHintCostsLessThanASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		c := follow(t, f)
		f.set(func(f *feed) { f.unhinted = true })
		f.put(target("acme", 1, on))
		time.Sleep(999 * time.Millisecond)
		synctest.Wait()
		if c.Version() != 1 {
			t.Error("it has not polled")
		}
	})
}

func TestIdleAsksSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		follow(t, f)
		_, before := f.counts()
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, after := f.counts(); after-before > 121 {
			t.Errorf("%d reads in a minute", after-before)
		}
	})
}

func TestAHoleLoadsAnew(t *testing.T) {
	t.Parallel()
	holes := map[string]func(*feed){
		"skipped":   func(f *feed) { f.skip = 2 },
		"forgotten": func(f *feed) { f.kept = 2 },
	}
	for name, hole := range holes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFeed()
				f.put(target("acme", 1, on))
				c := follow(t, f)
				f.set(func(f *feed) { f.unhinted = true })
				f.put(gone(postrider.KindTarget, "acme", 1))
				f.put(target("acme", 2, on))
				f.set(hole)
				level(t, c, f)
				if loads, _ := f.counts(); loads != 2 || c.Version() != 3 {
					t.Errorf("%d loads, version %d", loads, c.Version())
				}
				if _, v := c.Judge("acme", 1, "a", 0); v != match.Deleted {
					t.Errorf("the deleted target is judged %v", v)
				}
			})
		})
	}
}

func TestAFeedThatWentBackLoadsAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		f.put(target("acme", 1, on))
		f.put(target("acme", 2, on))
		c := follow(t, f)
		f.set(func(f *feed) {
			f.versionOf, f.changes = 1, f.changes[:1]
			delete(f.entities, key{postrider.KindTarget, 2})
		})
		time.Sleep(time.Second)
		synctest.Wait()
		if _, v := c.Judge("acme", 2, "a", 0); c.Version() != 1 || v != match.Deleted {
			t.Errorf("version %d, judged %v", c.Version(), v)
		}
	})
}

func TestAFeedThatFailsKeepsTheCache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		f.put(target("acme", 1, on))
		f.put(filter("acme", 1, "a"))
		f.put(subscription("acme", 1, 1, 1, true))
		c := follow(t, f)
		f.set(func(f *feed) { f.down = true })
		f.put(gone(postrider.KindSubscription, "acme", 1))
		time.Sleep(time.Hour)
		if _, v := c.Judge("acme", 1, "a", 3); v != match.Send {
			t.Errorf("judged %v while the feed is down", v)
		}
		if _, v := c.Judge("acme", 1, "a", 4); v != match.Stale {
			t.Errorf("judged %v what is newer", v)
		}
		if _, reads := f.counts(); reads > 3700 {
			t.Errorf("asked %d times in an hour", reads)
		}
		f.set(func(f *feed) { f.down = false })
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if _, v := c.Judge("acme", 1, "a", 4); v != match.Unsubscribed {
			t.Errorf("judged %v once the feed is back", v)
		}
		if loads, _ := f.counts(); loads != 1 {
			t.Errorf("%d loads", loads)
		}
	})
}

func TestNotReadyBeforeItIsLoaded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		f.down = true
		ctx, cancel := context.WithCancel(t.Context())
		c := match.New(match.Options{Feed: f})
		go c.Run(ctx)
		time.Sleep(time.Minute)
		select {
		case <-c.Ready():
			t.Error("ready without a load")
		default:
		}
		short, stop := context.WithTimeout(ctx, time.Second)
		defer stop()
		if err := c.Sync(short, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Sync without a load: %v", err)
		}
		f.set(func(f *feed) { f.down = false })
		<-c.Ready()
		cancel()
		synctest.Wait()
	})
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	r := prometheus.NewRegistry()
	match.New(match.Options{Feed: newFeed(), Registerer: r})
	if n, err := testutil.GatherAndCount(r, "postrider_cache_version", "postrider_cache_subscriptions", "postrider_cache_reloads_total"); n != 3 || err != nil {
		t.Errorf("%d metrics, %v", n, err)
	}
}
