package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/postrider/postrider"
)

const (
	tailMost      = 16 << 10 // pairs, from which on they are inserted
	leastInserted = 64       // pairs a group
	mostInserted  = 1000     // of one that inserts only
	pairRows      = 32       // pairs a statement
	pairSize      = 8 + len(postrider.DeliveryID{})
)

// byTarget finds deliveries by their target, by an index that is written late and in its order.
//
// An index written at once would have a page written for nearly every delivery, since those of an event are for different targets. So a
// group appends what it stored to a table, the tail, in one row. Once that has tailMost pairs they are sorted and inserted into the
// index, some with each group, and then leave the tail. Who reads looks at both. (P. O'Neil et al., The log-structured merge-tree, 1996.)
//
// A pair may be there twice, and may be of a delivery that is gone.
type byTarget struct {
	db  *DB
	run *tailRun // being inserted; nil: none. The writer's only
	seq int64    // of the tail's last row, or greater: none is used twice. The writer's only

	mu         sync.Mutex
	young, old map[int64][]postrider.DeliveryID // the tail: what came since the run began, and what the run inserts
	coming     []targeted                       // of the group that is being committed, or was not
	count      int                              // of young
	ended      int                              // runs
	until      int                              // how many runs are not to wait for tailMost
}

// targeted is a delivery and its target.
type targeted struct {
	target int64
	id     postrider.DeliveryID
}

// tailRun is what of the tail is being inserted.
type tailRun struct {
	pairs []targeted // in the order of the index
	at    int        // those before it are inserted, durably
	upTo  int64      // the last row of the tail that they are of
}

// openByTarget reads the tail.
func openByTarget(ctx context.Context, db *DB) (*byTarget, error) {
	b := &byTarget{db: db, young: map[int64][]postrider.DeliveryID{}}
	rows, err := db.read.QueryContext(ctx, "SELECT seq, pairs FROM target_tail ORDER BY seq")
	if err != nil {
		return nil, fault("read deliveries by target", err)
	}
	err = each(rows, func(rows *sql.Rows) error {
		var pairs []byte
		err := rows.Scan(&b.seq, &pairs)
		b.add(decodeTargeted(pairs))
		return err
	})
	if b.count > tailMost {
		b.hurry()
	}
	db.writer.always = append(db.writer.always, b.write)
	return b, fault("read deliveries by target", err)
}

func (b *byTarget) add(pairs []targeted) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range pairs {
		b.young[p.target] = append(b.young[p.target], p.id)
	}
	b.count += len(pairs)
	b.coming = nil
}

// tail returns the deliveries of a target that are not in the index, or were not a moment ago, in no order.
func (b *byTarget) tail(target int64) []postrider.DeliveryID {
	b.mu.Lock()
	defer b.mu.Unlock()
	ids := slices.Concat(b.young[target], b.old[target])
	for _, x := range b.coming { // they may be seen already
		if x.target == target {
			ids = append(ids, x.id)
		}
	}
	return ids
}

// waits returns what is in the tail, or will be with the group of t.
func (b *byTarget) waits(t *tx) map[targeted]struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make(map[targeted]struct{}, b.count+len(t.stored))
	for _, tail := range []map[int64][]postrider.DeliveryID{b.young, b.old} {
		for target, ids := range tail {
			for _, id := range ids {
				all[targeted{target, id}] = struct{}{}
			}
		}
	}
	for _, x := range t.stored {
		all[x] = struct{}{}
	}
	return all
}

// write appends what a group stored to the tail, and inserts some of what was there before. It runs at the end of every group.
func (b *byTarget) write(t *tx) error {
	n := max(leastInserted, 2*len(t.stored))
	if b.hurried() {
		n = max(n, mostInserted)
	}
	if err := b.insert(t, n); err != nil {
		return err
	}
	if len(t.stored) == 0 {
		return nil
	}
	stored := slices.Clone(t.stored)
	b.mu.Lock()
	b.coming = stored
	b.mu.Unlock()
	t.onCommit(func() { b.add(stored) })
	b.seq++
	return t.exec("INSERT INTO target_tail (seq, pairs) VALUES (?, ?)", b.seq, appendTargeted(nil, stored))
}

// insert inserts at most n pairs of the run, and begins one when it is time.
func (b *byTarget) insert(t *tx, n int) error {
	b.begin()
	r := b.run
	if r == nil {
		return nil
	}
	end := min(r.at+n, len(r.pairs))
	if err := insertPairs(t, r.pairs[r.at:end]); err != nil {
		return err
	}
	t.onCommit(func() { r.at = end })
	if end < len(r.pairs) {
		return nil
	}
	t.onCommit(b.end)
	return t.exec("DELETE FROM target_tail WHERE seq <= ?", r.upTo)
}

// begin begins a run if none is there and the tail has enough.
func (b *byTarget) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.run != nil || b.count == 0 || b.count < tailMost && b.ended >= b.until {
		return
	}
	r := &tailRun{pairs: make([]targeted, 0, b.count), upTo: b.seq}
	b.young, b.old, b.count = map[int64][]postrider.DeliveryID{}, b.young, 0
	for _, target := range slices.Sorted(maps.Keys(b.old)) {
		ids := slices.Clone(b.old[target]) // others may be reading it
		slices.SortFunc(ids, compareIDs)
		for _, id := range slices.Compact(ids) {
			r.pairs = append(r.pairs, targeted{target, id})
		}
	}
	b.run = r
}

func compareIDs(x, y postrider.DeliveryID) int { return bytes.Compare(x[:], y[:]) }

// end ends a run whose pairs are in the index.
func (b *byTarget) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.run, b.old = nil, nil
	b.ended++
}

var (
	insertPair      = "INSERT OR IGNORE INTO target_deliveries (target_id, id) VALUES (?, ?)"
	insertManyPairs = insertPair + strings.Repeat(", (?, ?)", pairRows-1)
)

func insertPairs(t *tx, pairs []targeted) error {
	values := make([]any, 0, 2*pairRows)
	for len(pairs) > 0 {
		n, query := 1, insertPair
		if len(pairs) >= pairRows {
			n, query = pairRows, insertManyPairs
		}
		values = values[:0]
		for i := range pairs[:n] {
			values = append(values, pairs[i].target, pairs[i].id[:])
		}
		if err := t.exec(query, values...); err != nil {
			return err
		}
		pairs = pairs[n:]
	}
	return nil
}

// settle brings all that is in the tail at its call into the index.
func (b *byTarget) settle(ctx context.Context) error {
	b.hurry()
	for b.hurried() {
		if err := b.db.writer.do(ctx, func(*tx) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

// hurry has the run end and another begin, if there is something for them.
func (b *byTarget) hurry() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until = b.ended
	if b.old != nil {
		b.until++
	}
	if b.count > 0 {
		b.until++
	}
}

func (b *byTarget) hurried() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ended < b.until
}

// hexList is a JSON array of ids in hexadecimal.
func hexList(ids []postrider.DeliveryID) string {
	b := []byte{'['}
	for i := range ids {
		b = append(hex.AppendEncode(append(b, '"'), ids[i][:]), '"', ',')
	}
	b[len(b)-1] = ']'
	return string(b)
}

func appendTargeted(b []byte, pairs []targeted) []byte {
	b = slices.Grow(b, len(pairs)*pairSize)
	for i := range pairs {
		b = binary.BigEndian.AppendUint64(b, uint64(pairs[i].target))
		b = append(b, pairs[i].id[:]...)
	}
	return b
}

func decodeTargeted(b []byte) []targeted {
	pairs := make([]targeted, 0, len(b)/pairSize)
	for ; len(b) >= pairSize; b = b[pairSize:] {
		pairs = append(pairs, targeted{int64(binary.BigEndian.Uint64(b)), postrider.DeliveryID(b[8:pairSize])})
	}
	return pairs
}
