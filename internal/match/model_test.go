package match_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/match"
)

// model is what the cache must be, written plainly.
type model map[key]postrider.Change

func (m model) match(tenant, eventType string) []match.Ref {
	var refs []match.Ref
	for k := range m {
		if k.kind == postrider.KindTarget && m.subscribed(k.id, tenant, eventType) {
			refs = append(refs, match.Ref{TargetID: k.id, Off: m[k].Target.State == off})
		}
	}
	slices.SortFunc(refs, func(a, b match.Ref) int { return int(a.TargetID - b.TargetID) })
	return refs
}

func (m model) subscribed(id int64, tenant, eventType string) bool {
	for _, c := range m {
		s := c.Subscription
		if s == nil || !s.Active || s.TargetID != id || s.Tenant != tenant {
			continue
		}
		if f, ok := m[key{postrider.KindFilter, s.FilterID}]; ok && f.Filter.Matches(eventType) {
			return true
		}
	}
	return false
}

func (m model) judge(id int64, tenant, eventType string) match.Verdict {
	c, ok := m[key{postrider.KindTarget, id}]
	switch {
	case !ok || c.Tenant != tenant:
		return match.Deleted
	case c.Target.State == off:
		return match.Off
	case !m.subscribed(id, tenant, eventType):
		return match.Unsubscribed
	case c.Target.State == unproven:
		return match.Unproven
	}
	return match.Send
}

const entities = 12

var types = []string{"a", "a.b", "a.b.c", "a.c", "b.c.d", "postrider.x", "postrider.x.y"}
var patterns = []string{"a", "a.b", "a.*", "a.b.*", "b.*", "*", "postrider.*", "postrider.x", "b.c.d", "c", "d", "e", "f.*"}

// tenantOf binds each entity to one tenant, so that a subscription never leaves it.
func tenantOf(id int64) string { return fmt.Sprint("t", id%2) }

func same(r *rand.Rand, id int64) int64 { return id%2 + 2*r.Int64N(entities/2) }

func randomChange(r *rand.Rand) postrider.Change {
	id := r.Int64N(entities)
	kind := postrider.Kind(1 + r.IntN(3))
	tenant := tenantOf(id)
	if r.IntN(5) == 0 {
		return gone(kind, tenant, id)
	}
	switch kind {
	case postrider.KindTarget:
		return target(tenant, id, []postrider.TargetState{on, on, off, unproven}[r.IntN(4)])
	case postrider.KindFilter:
		some := slices.Clone(patterns)
		r.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
		return filter(tenant, id, some[:1+r.IntN(len(some))]...)
	}
	return subscription(tenant, id, same(r, id), same(r, id), r.IntN(4) > 0)
}

// Random changes, in any order and with references to what is not there, leave the cache as the model is.
func TestAgainstAModel(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	f, m := newFeed(), model{}
	c := follow(t, f)
	for range 400 {
		for range 1 + r.IntN(5) {
			change := randomChange(r)
			f.put(change)
			m[key{change.Kind, change.ID}] = change
			if change.Deleted() {
				delete(m, key{change.Kind, change.ID})
			}
		}
		level(t, c, f)
		compare(t, c, m)
	}
	compare(t, follow(t, f), m)
	for id := range int64(entities) {
		for kind := postrider.KindTarget; kind <= postrider.KindSubscription; kind++ {
			f.put(gone(kind, tenantOf(id), id))
		}
	}
	level(t, c, f)
	compare(t, c, model{})
	if c.Subscriptions() != 0 {
		t.Errorf("%d subscriptions are left of none", c.Subscriptions())
	}
}

func compare(t *testing.T, c *match.Cache, m model) {
	t.Helper()
	for _, eventType := range types {
		for _, tenant := range []string{"t0", "t1"} {
			got, version := c.Match(tenant, eventType, nil)
			if want := m.match(tenant, eventType); !slices.Equal(got, want) {
				t.Fatalf("%s of %s matched %v, want %v", eventType, tenant, got, want)
			}
			if version > c.Version() {
				t.Fatalf("matched as of %d, the cache has %d", version, c.Version())
			}
			for id := range int64(entities) {
				if _, got := c.Judge(tenant, id, eventType, version); got != m.judge(id, tenant, eventType) {
					t.Fatalf("target %d, %s of %s: judged %v, want %v", id, eventType, tenant, got, m.judge(id, tenant, eventType))
				}
			}
		}
	}
}

// What is matched while changes come is never judged away by a cache that has exactly the version it was matched at: a
// target that is only ever added to is known there.
func TestMatchedVersionKnowsItsTargets(t *testing.T) {
	t.Parallel()
	f := newFeed()
	f.put(filter("acme", 1, "a"))
	c := follow(t, f)
	const n = 500
	created := make(map[int64]uint64, n)
	var matched []match.Ref
	var at []uint64
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			refs, version := c.Match("acme", "a", nil)
			for _, r := range refs {
				matched, at = append(matched, r), append(at, version)
			}
			select {
			case <-stop:
				return
			default:
			}
			if len(matched) > 1e5 {
				matched, at = matched[:0], at[:0]
			}
		}
	})
	for id := range int64(n) {
		created[id+1] = f.put(target("acme", id+1, on))
		f.put(subscription("acme", id+1, id+1, 1, true))
	}
	level(t, c, f)
	close(stop)
	reader.Wait()
	for i, r := range matched {
		if at[i] < created[r.TargetID] {
			t.Fatalf("target %d came with version %d and was matched as of %d", r.TargetID, created[r.TargetID], at[i])
		}
	}
}
