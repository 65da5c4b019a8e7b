package simulation

import (
	"slices"
	"strings"
	"time"
)

// place is a target: whose it is, and what it wanted when.
type place struct {
	tenant string
	steady bool // it and its subscriptions are not changed
	short  bool // its window is so short that deliveries may be given up

	receiver *receiver
	id       int64
	subs     []*subscription // as the operator left them
	deleted  bool
	faces    []face // in order; the first is that before it was made
}

type subscription struct {
	id, filter int64
	pattern    string
	active     bool
}

// face is what a place is from a change on, until the next.
type face struct {
	begun, done time.Time // of the change: the face may hold from the one on, and holds from the other on
	deleted     bool
	mayBeOff    bool // it was told to turn itself off, and may have
	patterns    []string
}

// wants reports whether an event is matched.
func (f *face) wants(e *published) bool {
	return !f.deleted && slices.ContainsFunc(f.patterns, func(pattern string) bool {
		prefix, any := strings.CutSuffix(pattern, "*")
		return pattern == e.eventType || any && strings.HasPrefix(e.eventType, prefix)
	})
}

// turn adds the face that a change has made, which had begun then.
func (p *place) turn(begun time.Time, mayBeOff bool) {
	f := face{begun: begun, done: time.Now(), deleted: p.deleted, mayBeOff: mayBeOff}
	for _, s := range p.subs {
		if s.active {
			f.patterns = append(f.patterns, s.pattern)
		}
	}
	p.faces = append(p.faces, f)
}

// last is the face that holds in the end.
func (p *place) last() *face { return &p.faces[len(p.faces)-1] }

// between are the faces that may have held at some moment of a time: the last that was there before it, and all that had begun by its
// end. What happens within one instant has no order.
func (p *place) between(from, until time.Time) []face {
	first, end := 0, len(p.faces)
	for i, f := range p.faces {
		if f.done.Before(from) {
			first = i
		}
	}
	for end > first+1 && p.faces[end-1].begun.After(until) {
		end--
	}
	return p.faces[first:end]
}

// ever reports whether something may have been so at some moment of a time.
func (p *place) ever(from, until time.Time, is func(*face) bool) bool {
	return slices.ContainsFunc(p.between(from, until), func(f face) bool { return is(&f) })
}

// always reports whether something was so all the time.
func (p *place) always(from, until time.Time, is func(*face) bool) bool {
	return !p.ever(from, until, func(f *face) bool { return !is(f) })
}
