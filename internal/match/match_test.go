package match_test

import (
	"fmt"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/match"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const on, off, unproven = postrider.TargetOn, postrider.TargetOff, postrider.TargetUnproven

// follow runs a cache of a feed until the test ends, and waits until it has all there is.
func follow(tb testing.TB, f *feed) *match.Cache {
	tb.Helper()
	c := match.New(match.Options{Feed: f})
	done := make(chan error)
	ctx, cancel := contextOf(tb)
	go func() { done <- c.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("Run: %v", err)
		}
	})
	level(tb, c, f)
	return c
}

func level(tb testing.TB, c *match.Cache, f *feed) {
	tb.Helper()
	version, _ := f.Version(tb.Context())
	if err := c.Sync(tb.Context(), version); err != nil {
		tb.Fatal(err)
	}
}

func ids(refs []match.Ref) []int64 {
	var out []int64
	for _, r := range refs {
		out = append(out, r.TargetID)
	}
	return out
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	patterns := []string{"*", "core.*", "core.orders.*", "core.orders.created", "core", "postrider.*", "postrider.target.disabled", "other.*"}
	types := []string{"core", "core.orders", "core.orders.created", "core.orders.created.v1", "corex.orders", "postrider.target.disabled",
		"postrider", "postriders.x", "other.a.b.c", "x"}
	f := newFeed()
	for i, p := range patterns {
		id := int64(i + 1)
		f.put(target("acme", id, on))
		f.put(filter("acme", id, p))
		f.put(subscription("acme", id, id, id, true))
	}
	c := follow(t, f)
	for _, eventType := range types {
		var want []int64
		for i, p := range patterns {
			id := int64(i + 1)
			matches := postrider.PatternMatches(p, eventType)
			if matches {
				want = append(want, id)
			}
			if _, v := c.Judge("acme", id, eventType, 0); (v == match.Send) != matches {
				t.Errorf("%s is judged %v by %s", eventType, v, p)
			}
		}
		if got, _ := c.Match("acme", eventType, nil); !slices.Equal(ids(got), want) {
			t.Errorf("%s matched %v, want %v", eventType, ids(got), want)
		}
	}
	if got, _ := c.Match("another", "core", nil); len(got) != 0 {
		t.Errorf("another tenant's event matched %v", got)
	}
}

func TestATargetAppearsOnce(t *testing.T) {
	t.Parallel()
	f := newFeed()
	f.put(target("acme", 2, on))
	f.put(target("acme", 1, off))
	f.put(filter("acme", 1, "a.b", "a.*", "*"))
	f.put(filter("acme", 2, "a.b"))
	for i, s := range [][2]int64{{1, 1}, {1, 1}, {1, 2}, {2, 2}, {2, 1}} {
		f.put(subscription("acme", int64(i+1), s[0], s[1], true))
	}
	c := follow(t, f)
	before := []match.Ref{{TargetID: 9}, {TargetID: 1}}
	got, version := c.Match("acme", "a.b", before)
	if want := append(before, match.Ref{TargetID: 1, Off: true}, match.Ref{TargetID: 2}); !slices.Equal(got, want) {
		t.Errorf("matched %v, want %v", got, want)
	}
	if version != c.Version() || version != 9 {
		t.Errorf("at version %d, the cache has %d", version, c.Version())
	}
	if c.Subscriptions() != 5 {
		t.Errorf("it holds %d subscriptions", c.Subscriptions())
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	f := newFeed()
	for id, state := range []postrider.TargetState{on, off, unproven} {
		f.put(target("acme", int64(id+1), state))
	}
	f.put(filter("acme", 1, "a"))
	for id := range int64(3) {
		f.put(subscription("acme", id+1, id+1, 1, true))
	}
	last := f.put(target("acme", 4, on))
	c := follow(t, f)
	cases := []struct {
		tenant    string
		target    int64
		eventType string
		version   uint64
		want      match.Verdict
	}{
		{"acme", 1, "a", last, match.Send},
		{"acme", 1, "a", last + 1, match.Stale},
		{"acme", 2, "a", last, match.Off},
		{"acme", 2, "b", last, match.Off},
		{"acme", 3, "a", last, match.Unproven},
		{"acme", 3, "b", last, match.Unsubscribed},
		{"acme", 4, "a", last, match.Unsubscribed},
		{"acme", 9, "a", last, match.Deleted},
		{"acme", 9, "a", last + 1, match.Stale},
		{"other", 1, "a", last, match.Deleted},
		{"other", 1, "a", last + 1, match.Stale},
	}
	for _, x := range cases {
		target, got := c.Judge(x.tenant, x.target, x.eventType, x.version)
		if got != x.want {
			t.Errorf("%+v: judged %v", x, got)
		}
		if there := target != nil; there != (got != match.Stale && got != match.Deleted) || there && target.ID != x.target {
			t.Errorf("%+v: target %v", x, target)
		}
	}
}

func TestAnEmptyCacheJudgesNothing(t *testing.T) {
	t.Parallel()
	c := match.New(match.Options{Feed: newFeed()})
	if target, v := c.Judge("acme", 1, "a", 0); target != nil || v != match.Stale {
		t.Errorf("judged %v", v)
	}
	if got, version := c.Match("acme", "a", nil); len(got) != 0 || version != 0 {
		t.Errorf("matched %v at %d", got, version)
	}
	select {
	case <-c.Ready():
		t.Error("it is ready")
	default:
	}
}

// An answer that rests on a change that is not in the feed yet as far as the cache has read it carries that change's
// version: an older cache must not judge what it cannot know.
func TestVersionCoversNewerContent(t *testing.T) {
	t.Parallel()
	f := newFeed()
	ahead := target("acme", 1, on)
	ahead.Target.Version = 10
	f.put(ahead)
	f.put(filter("acme", 1, "a"))
	f.put(subscription("acme", 1, 1, 1, true))
	c := follow(t, f)
	if _, version := c.Match("acme", "a", nil); version != 10 || c.Version() != 3 {
		t.Errorf("matched as of %d, the cache has %d", version, c.Version())
	}
}

func TestManyPatterns(t *testing.T) {
	t.Parallel()
	var patterns []string
	for i := range 500 {
		patterns = append(patterns, fmt.Sprintf("exact.n%d", i), fmt.Sprintf("prefix.n%d.*", i))
	}
	f := newFeed()
	f.put(target("acme", 1, on))
	f.put(filter("acme", 1, patterns...))
	f.put(subscription("acme", 1, 1, 1, true))
	c := follow(t, f)
	for eventType, want := range map[string]match.Verdict{"exact.n499": match.Send, "exact.n500": match.Unsubscribed,
		"prefix.n7.a.b": match.Send, "prefix.n7": match.Unsubscribed, "postrider.x": match.Unsubscribed} {
		if _, v := c.Judge("acme", 1, eventType, 0); v != want {
			t.Errorf("%s: %v", eventType, v)
		}
	}
	f.put(filter("acme", 1, append(patterns, "*")...))
	level(t, c, f)
	if _, v := c.Judge("acme", 1, "anything", 0); v != match.Send {
		t.Errorf("a star among many: %v", v)
	}
	if _, v := c.Judge("acme", 1, "postrider.x", 0); v != match.Unsubscribed {
		t.Errorf("a star and an own type: %v", v)
	}
}

//nolint:paralleltest // it counts allocations, which those of other tests would add to
func TestNoMatchAllocatesNothing(t *testing.T) {
	f := newFeed()
	f.put(target("acme", 1, on))
	f.put(filter("acme", 1, "a.b", "c.*"))
	f.put(subscription("acme", 1, 1, 1, true))
	c := follow(t, f)
	buf := make([]match.Ref, 0, 8)
	if n := testing.AllocsPerRun(100, func() {
		buf, _ = c.Match("acme", "c", buf[:0])
		buf, _ = c.Match("nobody", "a.b.c", buf[:0])
		buf, _ = c.Match("acme", "a.b", buf[:0])
		c.Judge("acme", 1, "c.d", 0)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
