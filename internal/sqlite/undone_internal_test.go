package sqlite

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/postrider/postrider"
)

// What one tenant has published before, however much, another's event does not wait for: it comes with the next batch but what is in hand.
func TestTenantsTakeTurns(t *testing.T) {
	t.Parallel()
	for name, backlog := range map[string]int{"in memory": 3000, "in the file": recentEvents + 3000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := openDB(t, t.TempDir())
			flood := make([]*postrider.Event, backlog)
			for i := range flood {
				flood[i] = event(fmt.Sprint("flood-", i), []byte("x"))
				flood[i].Tenant = "flood"
			}
			appendEvents(t, db, flood...)
			r, err := db.Events().Reader(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			next := func() *postrider.EventBatch {
				b, err := r.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return b
			}
			next() // of which nothing is done as long as this lasts
			e := event("evt_1", []byte("x"))
			appendEvents(t, db, e)
			b := next()
			if len(b.Events) > turnEvents {
				b = next()
			}
			for b.Events[0].Tenant == "flood" && len(b.Events) <= turnEvents {
				b = next()
			}
			if b.Events[0].Tenant != e.Tenant || len(b.Events) != 1 {
				t.Fatalf("another tenant's event is not within a turn or two: %d events of %s", len(b.Events), b.Events[0].Tenant)
			}
			r.Commit(b)
			if _, err := db.Database().EventRecord(t.Context(), e.Tenant, e.ID); err != nil {
				t.Errorf("an event that is dealt with, before older ones of others: %v", err)
			}
			if _, err := db.Database().EventRecord(t.Context(), "flood", fmt.Sprint("flood-", backlog-1)); postrider.CodeOf(err) != postrider.CodeNotFound {
				t.Errorf("an event that is not dealt with: %v", err)
			}
		})
	}
}

// After a crash everything is read that was not done, and of what was done no more than was not saved.
func TestTenantsTakeTurnsOverACrash(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		m := &turns{t: t, random: rand.New(rand.NewPCG(seed, 0)), undone: newUndone(1), tail: 1}
		for range 400 {
			m.step()
		}
		for m.undone.unread+len(m.hands) > 0 {
			m.take()
			m.deal()
		}
		if len(m.undone.tenants) > 0 {
			t.Fatalf("seed %d: all is done, and %d tenants are kept", seed, len(m.undone.tenants))
		}
		last := int64(0)
		for at, tenant := range m.events {
			last = max(last, at)
			if !m.did[at] {
				t.Fatalf("seed %d: event %d of %s was not done", seed, at, tenant)
			}
		}
		if p := m.undone.progress(); p.behind != nil || p.after != last+1 {
			t.Fatalf("seed %d: all is done, and the position is %+v, the last event %d", seed, p, last)
		}
	}
}

// turns plays a reader, and a log that it reads.
type turns struct {
	t      *testing.T
	random *rand.Rand
	undone undone
	hands  []*handed
	took   map[*handed][]int64
	events map[int64]string
	did    map[int64]bool
	saved  progress
	kept   map[int64]bool // what is done by that
	tail   int64
}

func (m *turns) step() {
	switch n := m.random.IntN(20); {
	case n < 8:
		m.publish()
	case n < 13:
		m.take()
	case n < 17:
		m.deal()
	case n < 19:
		m.save()
	default:
		m.crash()
	}
}

// save notes what a crash would find done: nothing that is not.
func (m *turns) save() {
	m.saved, m.kept = m.undone.progress(), map[int64]bool{}
	for at, tenant := range m.events {
		if !m.saved.done(tenant, at) {
			continue
		}
		if m.kept[at] = true; !m.did[at] {
			m.t.Fatalf("event %d of %s is taken for done", at, tenant)
		}
	}
}

func (m *turns) publish() {
	tenant := fmt.Sprint("t", m.random.IntN(6))
	if m.events == nil {
		m.events, m.did, m.took = map[int64]string{}, map[int64]bool{}, map[*handed][]int64{}
	}
	for range 1 + m.random.IntN(60) {
		m.events[m.tail] = tenant
		m.undone.add(tenant, m.tail)
		m.tail++
	}
	if m.random.IntN(4) == 0 { // a group that failed
		m.tail += 3
	}
}

// take hands out a batch, of which some may be put back.
func (m *turns) take() {
	h := &handed{}
	room := maxUnsaved
	for _, h := range m.hands {
		room -= h.events
	}
	for h.events < min(room, 50) {
		b, its := m.undone.take(h, room-h.events)
		if b == nil {
			break
		}
		if m.random.IntN(10) == 0 {
			m.undone.putBack(h, b, its)
			break
		}
		h.end = max(h.end, its.after-1)
		for at := its.first; at < its.after; at++ {
			if m.events[at] != b.tenant {
				m.t.Fatalf("event %d of %q came as %q's", at, m.events[at], b.tenant)
			}
			if m.did[at] {
				m.t.Fatalf("event %d came again", at)
			}
			m.took[h] = append(m.took[h], at)
		}
	}
	if h.events > 0 {
		m.hands = append(m.hands, h)
	}
}

func (m *turns) deal() {
	if len(m.hands) == 0 {
		return
	}
	i := m.random.IntN(len(m.hands))
	h := m.hands[i]
	m.hands = slices.Delete(m.hands, i, i+1)
	m.undone.done(h)
	for _, at := range m.took[h] {
		m.did[at] = true
	}
}

// crash begins anew with what was saved.
func (m *turns) crash() {
	var from progress
	from.after = 1
	if m.saved.after > 0 {
		from.after = m.saved.least()
		if m.saved.behind != nil {
			from.decode(m.saved.encode())
		}
	}
	m.undone, m.hands = newUndone(from.least()), nil
	if m.did = maps.Clone(m.kept); m.did == nil { // the rest was done in vain, and is to be done again
		m.did = map[int64]bool{}
	}
	for at := from.least(); at < m.tail; at++ {
		if tenant, there := m.events[at]; there && !from.done(tenant, at) {
			m.undone.add(tenant, at)
		}
	}
	m.undone.end, m.undone.reached = m.tail, from.after
}

// FuzzProgress reads positions as they might stand in a file.
func FuzzProgress(f *testing.F) {
	p := progress{after: 9, behind: map[string]int64{"acme": 3, "": 1}}
	f.Add(p.encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		got := progress{after: 1}
		got.decode(b)
		if got.behind == nil {
			return
		}
		again := progress{after: 1}
		if again.decode(got.encode()); !reflect.DeepEqual(got, again) {
			t.Errorf("%+v became %+v", got, again)
		}
	})
}

// A position that is damaged is not taken: more is read again then, and nothing is skipped.
func TestDamagedProgress(t *testing.T) {
	t.Parallel()
	whole := (&progress{after: 9, behind: map[string]int64{"acme": 3}}).encode()
	for i := range whole {
		b := append([]byte(nil), whole...)
		b[i] ^= 4
		p := progress{after: 3}
		if p.decode(b); p.after != 3 || p.behind != nil {
			t.Fatalf("byte %d changed: %+v", i, p)
		}
	}
}

// Over a restart the events of others, which were dealt with before one tenant's, do not come again.
func TestTurnsOverARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := openDB(t, dir)
	for i := range 600 {
		e := event(fmt.Sprint("evt_", i), []byte("x"))
		if i < 500 {
			e.Tenant = "flood"
		} else {
			e.Tenant = fmt.Sprint("tenant-", i)
		}
		appendEvents(t, db, e)
	}
	seen := map[string]int{}
	read := func(n int, commit bool) (got int) {
		r, err := db.Events().Reader(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for got < n {
			b, err := r.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got += len(b.Events)
			if commit {
				r.Commit(b)
				for _, e := range b.Events {
					seen[e.ID]++
				}
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := read(200, true)
	read(100, false)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openDB(t, dir)
	if behind := db.events.saved.behind; len(behind) != 1 || behind["flood"] == 0 {
		t.Fatalf("behind are %v", behind)
	}
	read(600-first, true)
	for i := range 600 {
		if n := seen[fmt.Sprint("evt_", i)]; n != 1 {
			t.Errorf("event %d was read %d times", i, n)
		}
	}
	if n := rowsIn(t, db, "meta WHERE name = 'events_behind'"); n != 0 {
		t.Error("nobody is behind, and the file still tells of some")
	}
}

// Who has a backlog comes in each round, however many others publish as fast as is read.
func TestABacklogHasItsTurn(t *testing.T) {
	t.Parallel()
	u := newUndone(1)
	at, small := int64(1), 0
	publish := func(tenant string) {
		u.add(tenant, at)
		at++
	}
	for range 2000 {
		publish("first")
	}
	first := 0
	for n := 500; first < 2000; {
		for range n {
			publish(fmt.Sprint("small-", small%500))
			small++
		}
		if small > 100_000 {
			t.Fatalf("%d of 2,000 events came, and %d of others that were published after them", first, small)
		}
		h := &handed{}
		for n = 0; h.events < batchEvents; {
			b, its := u.take(h, maxUnsaved-h.events)
			if b == nil {
				break
			}
			if b.tenant == "first" {
				first += its.len()
			} else {
				n += its.len()
			}
		}
		u.done(h)
	}
}

// A payload of which a part is gone holds up nobody's events.
func TestAnIncompletePayloadHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := openDB(t, dir)
	bad := event("bad", make([]byte, 600<<10))
	appendEvents(t, db, bad)
	other := event("good", []byte("x"))
	other.Tenant = "other"
	appendEvents(t, db, other)
	if err := db.writer.do(t.Context(), func(tx *tx) error {
		return tx.exec("DELETE FROM chunks WHERE id = (SELECT max(id) FROM chunks)")
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openDB(t, dir) // which has nothing in memory
	r, err := db.Events().Reader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for seen := 0; seen < 2; {
		b, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seen += len(b.Events)
	}
	if _, err := db.Events().Read(t.Context(), bad.Position); postrider.CodeOf(err) != postrider.CodeMalformed {
		t.Errorf("the payload is read: %v", err)
	}
}

// A version that does not know of tenants that are behind leaves what tells of them as it is. It is out of date then.
func TestProgressAfterAnOlderVersion(t *testing.T) {
	t.Parallel()
	db := openDB(t, t.TempDir())
	p := progress{after: 9, behind: map[string]int64{"acme": 3}}
	if err := db.writer.do(t.Context(), func(tx *tx) error { return p.save(tx, &progress{}) }); err != nil {
		t.Fatal(err)
	}
	if got, err := loadProgress(t.Context(), db.read); err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := db.writer.do(t.Context(), func(tx *tx) error {
		return tx.exec("UPDATE meta SET value = 9 WHERE name = 'events_committed'")
	}); err != nil {
		t.Fatal(err)
	}
	if got, err := loadProgress(t.Context(), db.read); err != nil || got.after != 9 || got.behind != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}
