package simulation

import (
	"fmt"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/steady"
)

// A twin is made where an upheaval hits a delivery: before the position of its event is durable (and this long after it), or
// while its pack is in hand, which it is until the last of the deliveries that share the pack is dealt with, or while it moves: a retry
// that was merged with others is sent at once, and removed from the retry lane only when it is durable where it was put. None of these
// ends while the disk fails, or is slow; what failed is tried again after a pause, which may outlast the fault by its length.
const (
	positionLag = 2 * time.Second
	packOpen    = 15 * time.Second
	triedAgain  = steady.LongPause + 2*time.Second // and durable, once the disk is well
)

// checkCopies holds the copies of each attempt against their bound. Each hit at most doubles the copies of a delivery that are on their
// way: a crash has its event read again, or finds it in two lanes, a jump of the clock ends its lease, a disk that begins to fail undoes
// what was handed on before it was durable, a replay that was not answered may be asked for again.
func (w *world) checkCopies(p *place, id string, list []arrival) {
	slices.SortStableFunc(list, func(a, b arrival) int { return a.from.Compare(b.from) })
	hits := w.hits(w.events[id], list)
	for _, r := range w.replays[key{id, p.id}] {
		if !r.accepted {
			hits++
		}
	}
	copies := map[int]int{}
	for i, a := range list {
		if copies[a.attempt]++; copies[a.attempt] > 1<<hits {
			w.t.Errorf("%s got attempt %d of %s (%v) %d times, and %d upheavals excuse at most %d: %s", p.receiver.name, a.attempt, id, w.events[id],
				copies[a.attempt], hits, 1<<hits, show(list))
		}
		if i > 0 && hits == 0 && (a.attempt <= list[i-1].attempt || a.replay < list[i-1].replay) {
			w.t.Errorf("%s got attempts of %s that do not go on: %s", p.receiver.name, id, show(list))
		}
	}
}

// hits is how often an upheaval found a delivery on its way: as one whose event may be read again, as one in hand, and as one that
// was moving. One upheaval may find it as all of these.
func (w *world) hits(e *published, list []arrival) (n int) {
	read := w.put(e.until.Add(positionLag), triedAgain)
	inHand, moved := make([]time.Time, len(list)), make([]time.Time, len(list))
	for i, a := range list {
		inHand[i] = w.put(a.until.Add(packOpen), packOpen)
		moved[i] = w.put(a.from, triedAgain) // on a disk that is well it takes no time
	}
	found := func(u *upheaval, until []time.Time, may func(arrival) bool) int {
		for i, a := range list {
			if may(a) && u.meets(a.from, until[i]) {
				return 1
			}
		}
		return 0
	}
	for _, u := range w.upheavals {
		if !u.twins {
			continue
		}
		if u.meets(e.at, read) {
			n++
		}
		n += found(&u, inHand, func(arrival) bool { return true })
		n += found(&u, moved, func(a arrival) bool { return a.attempt > 1 })
	}
	return n
}

// put is when something that ends by a time is durable, where each fault of the disk on the way puts it off by a lag.
func (w *world) put(end time.Time, lag time.Duration) time.Time {
	for _, u := range w.upheavals {
		if later := u.until.Add(lag); u.disk && !u.from.After(end) && later.After(end) {
			end = later
		}
	}
	return end
}

// excused reports whether an upheaval fell into an attempt, so that its outcome may be lost.
func (w *world) excused(a arrival) bool {
	until := w.put(a.until, triedAgain)
	return slices.ContainsFunc(w.upheavals, func(u upheaval) bool { return u.twins && !u.disk && u.meets(a.from, until) })
}

// forgotten reports whether a crash may have undone all that was known of a message that was sent: items are sent before they are
// durable. Its event is read again then, and by now the place may want it no more.
func (w *world) forgotten(p *place, e *published, a arrival) bool {
	read := w.put(e.until.Add(positionLag), triedAgain)
	return slices.ContainsFunc(w.upheavals, func(u upheaval) bool {
		return u.twins && !u.disk && u.meets(a.from, read) &&
			p.ever(a.from, w.through(u.until.Add(lag), lag), func(f *face) bool { return !f.wants(e) })
	})
}

// replayed is the highest generation that there may be of a delivery.
func (w *world) replayed(k key) int { return len(w.replays[k]) }

// checkReplays holds what a place took against the replays that were accepted: each makes another generation, which arrives.
func (w *world) checkReplays(p *place, k key, taken []arrival) {
	e := w.events[k.event]
	generations := map[int]bool{}
	for _, a := range taken {
		generations[a.replay] = true
	}
	if n := w.replayed(k); slices.ContainsFunc(taken, func(a arrival) bool { return a.replay > n }) {
		w.t.Errorf("%s got a replay of %s that nobody asked for: %s", p.receiver.name, k.event, show(taken))
	}
	delete(generations, 0)
	accepted := 0
	for _, r := range w.replays[k] {
		if r.accepted && !w.mayGiveUp(p) && p.always(r.at, time.Now(), func(f *face) bool { return f.wants(e) && !f.mayBeOff }) {
			accepted++
		}
	}
	if len(generations) < accepted {
		w.t.Errorf("%d replays of %s to %s were accepted, which took %d: %s", accepted, k.event, p.receiver.name, len(generations), show(taken))
	}
}

func show(list []arrival) string {
	text := ""
	for _, a := range list {
		text += fmt.Sprintf("\n  attempt %d, replay %d, from %v to %v, answered %d", a.attempt, a.replay, a.from, a.until, a.status)
	}
	return text
}

// String shows a place's faces.
func (p *place) String() string {
	text := fmt.Sprintf("steady %v, short %v", p.steady, p.short)
	for _, f := range p.faces {
		text += fmt.Sprintf("\n  from %v, %v: deleted %v, may be off %v, %v", f.begun, f.done, f.deleted, f.mayBeOff, f.patterns)
	}
	return text
}
