package match

import (
	"hash/maphash"
	"strings"

	"github.com/postrider/postrider"
)

// tenant is what the cache holds of one tenant. A subscription may come before its target or filter: those are then there
// without their entity.
type tenant struct {
	version       uint64 // of the newest change in it
	targets       map[int64]*target
	filters       map[int64]*filter
	subscriptions map[int64]*subscription
	patterns      map[string]*pattern // by key
	all           *pattern            // that of keyAll, or nil
	prefixes      uint64              // bit n: there may be a prefix whose length is n modulo 64
	keys          bloom               // what patterns may hold
}

func newTenant() *tenant {
	return &tenant{targets: make(map[int64]*target), filters: make(map[int64]*filter),
		subscriptions: make(map[int64]*subscription), patterns: make(map[string]*pattern)}
}

func (t *tenant) empty() bool {
	return len(t.targets) == 0 && len(t.filters) == 0 && len(t.subscriptions) == 0
}

func (t *tenant) match(seed maphash.Seed, eventType string, buf []Ref) []Ref {
	buf = t.lookUp(seed, eventType, buf)
	if t.prefixes != 0 {
		for i := range len(eventType) {
			if eventType[i] == '.' && t.prefixes&prefixBit(i+1) != 0 {
				buf = t.lookUp(seed, eventType[:i+1], buf)
			}
		}
	}
	if !own(eventType) {
		buf = t.all.collect(buf)
	}
	return buf
}

func (t *tenant) lookUp(seed maphash.Seed, key string, buf []Ref) []Ref {
	if !t.keys.may(maphash.String(seed, key)) {
		return buf
	}
	return t.patterns[key].collect(buf)
}

// bloom says for sure that a key is not there, mostly, without a look at the map. Keys are never taken out.
type bloom [4]uint64

func (b *bloom) add(hash uint64) { b[hash>>6&3] |= 1 << (hash & 63) }

func (b *bloom) may(hash uint64) bool { return b[hash>>6&3]&(1<<(hash&63)) != 0 }

func prefixBit(length int) uint64 { return 1 << (length % 64) }

func own(eventType string) bool { return strings.HasPrefix(eventType, postrider.OwnTypePrefix) }

func (t *tenant) apply(c *postrider.Change, ix *index) {
	switch c.Kind {
	case postrider.KindTarget:
		t.putTarget(c.ID, c.Target)
	case postrider.KindFilter:
		t.putFilter(c.ID, c.Filter, ix)
	case postrider.KindSubscription:
		t.putSubscription(c.ID, c.Subscription)
	}
}

func (t *tenant) putTarget(id int64, entity *postrider.Target) {
	target := t.target(id)
	target.entity = entity
	target.there = entity != nil
	target.off = entity != nil && entity.State == postrider.TargetOff
	t.dropTarget(id, target)
}

func (t *tenant) putFilter(id int64, entity *postrider.Filter, ix *index) {
	f := t.filter(id)
	t.unlinkPatterns(f)
	f.known = entity != nil
	if entity != nil {
		t.linkPatterns(f, entity.Events, ix)
	}
	t.dropFilter(id, f)
}

func (t *tenant) putSubscription(id int64, entity *postrider.Subscription) {
	s := t.subscriptions[id]
	if s != nil && (entity == nil || t.targets[entity.TargetID] != s.target || t.filters[entity.FilterID] != s.filter) {
		t.unlink(id, s)
		s = nil
	}
	if entity == nil {
		return
	}
	if s == nil {
		s = &subscription{targetID: entity.TargetID, filterID: entity.FilterID, target: t.target(entity.TargetID), filter: t.filter(entity.FilterID)}
		s.link()
		t.subscriptions[id] = s
	}
	s.active = entity.Active
}

func (t *tenant) unlink(id int64, s *subscription) {
	s.unlink()
	delete(t.subscriptions, id)
	t.dropTarget(s.targetID, s.target)
	t.dropFilter(s.filterID, s.filter)
}

func (t *tenant) target(id int64) *target {
	x := t.targets[id]
	if x == nil {
		x = new(target)
		t.targets[id] = x
	}
	return x
}

func (t *tenant) filter(id int64) *filter {
	x := t.filters[id]
	if x == nil {
		x = new(filter)
		t.filters[id] = x
	}
	return x
}

// dropTarget forgets a target that is neither there nor referred to.
func (t *tenant) dropTarget(id int64, x *target) {
	if x.entity == nil && len(x.subscriptions) == 0 {
		delete(t.targets, id)
	}
}

func (t *tenant) dropFilter(id int64, x *filter) {
	if !x.known && len(x.subscriptions) == 0 {
		delete(t.filters, id)
	}
}
