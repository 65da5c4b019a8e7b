package sqlite

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// TestColdItems takes items out in the order of their due times.
func TestColdItems(t *testing.T) {
	t.Parallel()
	var c coldItems
	tenants := []string{"acme", "globex"}
	for i := range 1000 {
		c.add(rand.Int64N(100), int64(i), int32(i%7), tenants[i%2])
	}
	seen := map[int64]bool{}
	for last := int64(0); c.len() > 0; {
		e := c.pop(postrider.LaneRetry)
		if e.due < last || seen[e.id] || e.tenant != tenants[e.id%2] || e.weight != int32(e.id%7) || e.lane != postrider.LaneRetry {
			t.Fatalf("got %+v after %d", e, last)
		}
		last, seen[e.id] = e.due, true
	}
	if len(seen) != 1000 {
		t.Errorf("%d items came out", len(seen))
	}
}

// TestManyItemsAreKnownAfterAStart puts more items than are read at once, delayed and due, and takes them after a start.
func TestManyItemsAreKnownAfterAStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := openDB(t, dir)
	const due, delayed = loadStep + 500, 700
	var items []postrider.Item
	for i := range due + delayed {
		item := pack(1)
		item.Lane = postrider.LaneRetry
		if i < delayed {
			item.Delay = time.Hour
		}
		items = append(items, item)
	}
	commit, err := db.Queue().Put(t.Context(), items...)
	if err == nil {
		err = commit.Wait(t.Context())
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	db = openDB(t, dir)
	taken := 0
	for taken < due {
		leases, err := db.Queue().Take(t.Context(), postrider.TakeRequest{Lane: postrider.LaneRetry, Credit: 5000})
		if err != nil {
			t.Fatal(err)
		}
		taken += len(leases)
	}
	stats, err := db.Queue().Stats(t.Context())
	if err != nil || taken != due || stats[postrider.LaneRetry].Delayed != delayed {
		t.Errorf("%d of %d taken; %+v, %v", taken, due, stats[postrider.LaneRetry], err)
	}
}

// TestDemotion makes items cold that memory need not know in full, and takes them when they are due.
func TestDemotion(t *testing.T) {
	t.Parallel()
	s := newLaneState(postrider.LaneRetry)
	s.demoteAt = 10
	held := &entry{id: 100, due: 50, state: stateWritten, item: &postrider.Item{}}
	s.add(held, 0)
	for i := range int64(20) {
		s.add(&entry{id: i, due: 100 - i, tenant: "acme", weight: 1, state: stateWritten}, 0)
	}
	s.demote()
	if len(s.delayed) != 1 || s.cold.len() != 20 || s.demoteAt < firstDemotion {
		t.Fatalf("%d in full, %d cold", len(s.delayed), s.cold.len())
	}
	s.promote(100)
	got := map[int64]bool{}
	for e := s.take(1, true, nil); e != nil; e = s.take(1, true, nil) {
		got[e.id] = true
	}
	if len(got) != 21 {
		t.Errorf("%d of 21 came back", len(got))
	}
}
