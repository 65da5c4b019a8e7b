package stack

import (
	"crypto/sha256"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/test/harness"
)

// ledger is what the producers sent, what of it was acknowledged, and what the receivers took.
type ledger struct {
	paths []string // of the targets: each is to get everything

	mu      sync.Mutex
	entries map[string]*entry
	strange []string // faults of what arrived
	open    int      // sent, and neither refused nor arrived everywhere
}

// entry is one event.
type entry struct {
	round  int
	digest [32]byte
	closed bool                 // not among those that are open
	acked  time.Time            // zero: it was not, and may have been accepted all the same
	taken  map[string][]arrival // by path: messages that were answered with 2xx
	first  map[string]time.Time // by path: when the first message came, whatever it was answered
	last   map[string]int       // by path: the highest number of an attempt
}

type arrival struct {
	at      time.Time
	attempt int
}

func newLedger(paths ...string) *ledger { return &ledger{paths: paths, entries: map[string]*entry{}} }

// will notes an event before it is sent.
func (l *ledger) will(id string, round int, payload []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries[id] = &entry{round: round, digest: sha256.Sum256(payload), taken: map[string][]arrival{}, first: map[string]time.Time{}, last: map[string]int{}}
	l.open++
}

// end notes whether it was acknowledged. If not it may arrive all the same.
func (l *ledger) end(id string, acknowledged bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[id]
	if !acknowledged {
		l.close(e)
		return
	}
	e.acked = time.Now()
}

func (l *ledger) close(e *entry) {
	if !e.closed {
		e.closed = true
		l.open--
	}
}

// full reports whether so much is under way that the load pauses.
func (l *ledger) full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open >= mostOpen
}

// arrived notes a message that is about to be answered.
func (l *ledger) arrived(m *harness.Message, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[m.ID]
	if e == nil {
		l.strange = append(l.strange, m.ID+" was never sent")
		return
	}
	if e.first[m.Path].IsZero() {
		e.first[m.Path] = time.Now()
	}
	e.last[m.Path] = max(e.last[m.Path], m.Attempt)
	switch {
	case e.digest != m.Digest:
		l.strange = append(l.strange, m.ID+" arrived with other bytes")
	case status < 300:
		e.taken[m.Path] = append(e.taken[m.Path], arrival{time.Now(), m.Attempt})
		if l.whole(e) {
			l.close(e)
		}
	}
}

// whole reports whether an event arrived everywhere.
func (l *ledger) whole(e *entry) bool { return len(e.taken) == len(l.paths) }

// count counts the events of a round that were acknowledged after a time; and of these what arrived everywhere.
func (l *ledger) count(round int, after time.Time) (acked, whole int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if e.round == round && e.acked.After(after) {
			acked++
			if l.whole(e) {
				whole++
			}
		}
	}
	return acked, whole
}

// arrivedAfter lists events of a round that were acknowledged after a time and arrived everywhere.
func (l *ledger) arrivedAfter(round int, after time.Time) (ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, e := range l.entries {
		if e.round == round && e.acked.After(after) && l.whole(e) {
			ids = append(ids, id)
		}
	}
	return ids
}

// accepted tells which events were acknowledged.
func (l *ledger) accepted() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := map[string]bool{}
	for id, e := range l.entries {
		if !e.acked.IsZero() {
			ids[id] = true
		}
	}
	return ids
}

// tally is what came of a round.
type tally struct {
	accepted, missing, unsure int
	twins                     int             // the same attempt once more
	late                      int             // another attempt, since the answer to the one before did not come in time
	latencies                 []time.Duration // from the acknowledgement to the first message at each target, sorted
}

func (l *ledger) tally(round int) tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	var s tally
	for _, e := range l.entries {
		if e.round != round {
			continue
		}
		for _, list := range e.taken {
			attempts := map[int]bool{}
			for _, a := range list {
				attempts[a.attempt] = true
			}
			s.twins += len(list) - len(attempts)
			s.late += len(attempts) - 1
			if !e.acked.IsZero() {
				s.latencies = append(s.latencies, max(list[0].at.Sub(e.acked), 0))
			}
		}
		switch {
		case e.acked.IsZero():
			s.unsure++
		case l.whole(e):
			s.accepted++
		default:
			s.accepted++
			s.missing++
		}
	}
	slices.Sort(s.latencies)
	return s
}

// quantile of the latencies.
func (s tally) quantile(q float64) time.Duration { return quantile(s.latencies, q) }

// quantile of what is sorted.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)].Round(time.Millisecond)
}

// firsts are the times from the acknowledgement to the first attempt at each target, sorted, of events that were acknowledged in a
// span of time.
func (l *ledger) firsts(from, to time.Time) (latencies []time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if e.acked.Before(from) || !e.acked.Before(to) {
			continue
		}
		for _, at := range e.first {
			latencies = append(latencies, max(at.Sub(e.acked), 0))
		}
	}
	slices.Sort(latencies)
	return latencies
}

// lastAttempt is the highest number of an attempt that came of an event to a path.
func (l *ledger) lastAttempt(id, path string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entries[id].last[path]
}

// answeredLate lists, by event and path, the attempts that were answered with 2xx and followed by another attempt all the same.
func (l *ledger) answeredLate() map[string]map[string][]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	late := map[string]map[string][]int{}
	for id, e := range l.entries {
		for path, list := range e.taken {
			last := 0
			for _, a := range list {
				last = max(last, a.attempt)
			}
			for _, a := range list {
				if a.attempt < last {
					if late[id] == nil {
						late[id] = map[string][]int{}
					}
					late[id][path] = append(late[id][path], a.attempt)
				}
			}
		}
	}
	return late
}

// check fails the test for each fault of what arrived.
func (l *ledger) check(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, fault := range l.strange {
		t.Error(fault)
	}
}
