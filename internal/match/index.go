package match

import (
	"cmp"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/postrider/postrider"
)

// stripes is how many locks the tenants share. There are many, so that each one's map is small: a small map is found in two
// steps through memory, a larger one in four.
const stripes = 4096

// index is the cache's content. It is changed by one goroutine, and read by any.
type index struct {
	// version is stored after the change that brings it is in: whoever reads it first and the content afterwards sees
	// content at least that new.
	version       atomic.Uint64
	subscriptions atomic.Int64

	seed    maphash.Seed
	stripes [stripes]stripe
	strings map[string]string // one copy of each pattern, whatever the number of tenants that use it
}

type stripe struct {
	mu      sync.RWMutex
	tenants map[string]*tenant // nil until there is one
}

func newIndex() *index {
	return &index{seed: maphash.MakeSeed(), strings: make(map[string]string)}
}

func (ix *index) stripe(tenant string) *stripe {
	return &ix.stripes[maphash.String(ix.seed, tenant)%stripes]
}

func (ix *index) match(name, eventType string, buf []Ref) ([]Ref, uint64) {
	version := ix.version.Load()
	s := ix.stripe(name)
	s.mu.RLock()
	defer s.mu.RUnlock()
	t := s.tenants[name]
	if t == nil {
		return buf, version
	}
	from := len(buf)
	buf = t.match(ix.seed, eventType, buf)
	return once(buf, from), max(version, t.version)
}

// once sorts what was appended to buf and leaves each target there once.
func once(buf []Ref, from int) []Ref {
	if len(buf)-from < 2 {
		return buf
	}
	added := buf[from:]
	slices.SortFunc(added, func(a, b Ref) int { return cmp.Compare(a.TargetID, b.TargetID) })
	return buf[:from+len(slices.Compact(added))]
}

func (ix *index) judge(name string, id int64, eventType string) (*postrider.Target, Verdict) {
	s := ix.stripe(name)
	s.mu.RLock()
	defer s.mu.RUnlock()
	t := s.tenants[name]
	if t == nil {
		return nil, Deleted
	}
	target := t.targets[id]
	if target == nil || target.entity == nil {
		return nil, Deleted
	}
	return target.entity, target.judge(eventType)
}

// apply makes one change. The version of the index is not touched.
func (ix *index) apply(c *postrider.Change) {
	s := ix.stripe(c.Tenant)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenants[c.Tenant]
	if t == nil {
		if c.Deleted() {
			return
		}
		if s.tenants == nil {
			s.tenants = make(map[string]*tenant)
		}
		t = newTenant()
		s.tenants[c.Tenant] = t
	}
	t.version = max(t.version, contentVersion(c))
	before := len(t.subscriptions)
	t.apply(c, ix)
	ix.subscriptions.Add(int64(len(t.subscriptions) - before))
	if t.empty() {
		delete(s.tenants, c.Tenant)
	}
}

// contentVersion is the version of what a change brings, which may be later than its own.
func contentVersion(c *postrider.Change) uint64 {
	v := c.Version
	switch {
	case c.Target != nil:
		v = max(v, c.Target.Version)
	case c.Filter != nil:
		v = max(v, c.Filter.Version)
	case c.Subscription != nil:
		v = max(v, c.Subscription.Version)
	}
	return v
}

// maxStrings bounds the table of patterns that are kept for sharing.
const maxStrings = 1 << 16

func (ix *index) intern(s string) string {
	if shared, ok := ix.strings[s]; ok {
		return shared
	}
	if len(ix.strings) >= maxStrings {
		clear(ix.strings)
	}
	ix.strings[s] = s
	return s
}
