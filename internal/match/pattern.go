package match

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"
)

// A pattern's key is what is looked up: an exact type as it is, "a.b." for "a.b.*", and keyAll for "*". A type never ends
// in a dot, so the three do not meet.
const keyAll = ""

func keyOf(p string) string { return strings.TrimSuffix(p, "*") }

// pattern is the filters that have a pattern.
type pattern struct {
	key     string
	filters []place
}

// place is a filter, and which of its uses this is.
type place struct {
	filter *filter
	use    int32
}

// use is a pattern of a filter, and the filter's place in it.
type use struct {
	pattern *pattern
	place   int32
}

func (p *pattern) collect(buf []Ref) []Ref {
	if p == nil {
		return buf
	}
	for i := range p.filters {
		buf = p.filters[i].filter.collect(buf)
	}
	return buf
}

func (t *tenant) linkPatterns(f *filter, patterns []string, ix *index) {
	keys := make([]string, len(patterns))
	for i, p := range patterns {
		keys[i] = keyOf(p)
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	f.uses = make([]use, len(keys))
	for i, key := range keys {
		p := t.pattern(key, ix)
		f.uses[i] = use{pattern: p, place: int32(len(p.filters))}
		p.filters = append(p.filters, place{filter: f, use: int32(i)})
	}
}

func (t *tenant) pattern(key string, ix *index) *pattern {
	p := t.patterns[key]
	if p == nil {
		p = &pattern{key: ix.intern(key)}
		t.patterns[p.key] = p
		t.keys.add(maphash.String(ix.seed, key))
		switch {
		case key == keyAll:
			t.all = p
		case strings.HasSuffix(key, "."):
			t.prefixes |= prefixBit(len(key))
		}
	}
	return p
}

// unlinkPatterns puts the last filter of each pattern in the place of f.
func (t *tenant) unlinkPatterns(f *filter) {
	for _, u := range f.uses {
		list := u.pattern.filters
		last := list[len(list)-1]
		list[u.place] = last
		last.filter.uses[last.use].place = u.place
		list[len(list)-1] = place{}
		u.pattern.filters = list[:len(list)-1]
		if len(u.pattern.filters) == 0 {
			t.dropPattern(u.pattern)
		}
	}
	f.uses = nil
}

func (t *tenant) dropPattern(p *pattern) {
	delete(t.patterns, p.key)
	if p == t.all {
		t.all = nil
	}
}

// few is up to how many patterns are looked at one by one.
const few = 8

// matches reports whether one of the filter's patterns matches a type.
func (x *filter) matches(eventType string) bool {
	if len(x.uses) > few {
		return x.search(eventType)
	}
	for i := range x.uses {
		switch key := x.uses[i].pattern.key; {
		case key == keyAll:
			if !own(eventType) {
				return true
			}
		case key[len(key)-1] == '.':
			if strings.HasPrefix(eventType, key) {
				return true
			}
		case key == eventType:
			return true
		}
	}
	return false
}

// search is matches by looking up what could match.
func (x *filter) search(eventType string) bool {
	if x.has(eventType) || x.uses[0].pattern.key == keyAll && !own(eventType) {
		return true
	}
	for i := range len(eventType) {
		if eventType[i] == '.' && x.has(eventType[:i+1]) {
			return true
		}
	}
	return false
}

func (x *filter) has(key string) bool {
	_, found := slices.BinarySearchFunc(x.uses, key, func(u use, key string) int { return cmp.Compare(u.pattern.key, key) })
	return found
}
