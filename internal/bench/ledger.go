package bench

import "math/bits"

// Ledger compares what was accepted with what arrived.
type Ledger struct {
	Accepted int64 `json:"accepted"` // deliveries that were promised: accepted events by their targets
	Arrived  int64 `json:"arrived"`  // of those, each once
	Missing  int64 `json:"missing"`
	Twins    int64 `json:"twins"`   // messages of which one had arrived before with the same id, at the same target
	Foreign  int64 `json:"foreign"` // messages nobody published in this run
	Refused  int64 `json:"refused"` // events that were answered 429 or 503
	Failed   int64 `json:"failed"`  // events with another answer or none; they may have been accepted
}

func (l *Ledger) lost() bool { return l != nil && (l.Missing > 0 || l.Foreign > 0) }

// add sums ledgers of several measurements.
func (r *run) add(l Ledger) {
	if r.record.Ledger == nil {
		r.record.Ledger = &Ledger{}
	}
	t := r.record.Ledger
	t.Accepted += l.Accepted
	t.Arrived += l.Arrived
	t.Missing += l.Missing
	t.Twins += l.Twins
	t.Foreign += l.Foreign
	t.Refused += l.Refused
	t.Failed += l.Failed
}

// bitmap is a set of small numbers.
type bitmap []uint64

func newBitmap(n int) bitmap { return make(bitmap, (n+63)/64) }

// set adds i and reports whether it was there. What is beyond the end is not there, and is not added.
func (b bitmap) set(i int) bool {
	if i/64 >= len(b) {
		return false
	}
	had := b[i/64]&(1<<(i%64)) != 0
	b[i/64] |= 1 << (i % 64)
	return had
}

func (b bitmap) has(i int) bool { return i/64 < len(b) && b[i/64]&(1<<(i%64)) != 0 }

func (b bitmap) count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}
