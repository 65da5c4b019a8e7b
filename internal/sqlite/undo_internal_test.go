package sqlite

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// failing is a file, with one item in its queue, of which groups can be made to fail.
type failing struct {
	*DB
	ahead atomic.Int64 // of the clock
}

func openFailing(t *testing.T) *failing {
	t.Helper()
	f := &failing{}
	f.DB = openWith(t, Options{Dir: t.TempDir(), Clock: func() time.Time { return time.Now().Add(time.Duration(f.ahead.Load())) }})
	f.put(t, pack(1))
	return f
}

func (f *failing) put(t *testing.T, items ...postrider.Item) {
	t.Helper()
	commit, err := f.Queue().Put(t.Context(), items...)
	if err == nil {
		err = commit.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// take takes what is due, without a wait.
func (f *failing) take(t *testing.T) []*postrider.Lease {
	t.Helper()
	taken, _, err := f.queue.takeDue(postrider.TakeRequest{Credit: 10})
	if err != nil {
		t.Fatal(err)
	}
	leases, err := f.queue.hand(t.Context(), taken)
	if err != nil {
		t.Fatal(err)
	}
	return leases
}

// one takes the one item that is due.
func (f *failing) one(t *testing.T) *postrider.Lease {
	t.Helper()
	leases := f.take(t)
	if len(leases) != 1 {
		t.Fatalf("%d items are due, want one", len(leases))
	}
	return leases[0]
}

// expire ends all leases.
func (f *failing) expire() { f.ahead.Add(int64(2 * time.Minute)) }

// settle settles a lease with another item, in a group that fails or does not.
func (f *failing) settle(t *testing.T, l *postrider.Lease, fails bool) {
	t.Helper()
	begun, release := hold(t, f.DB)
	<-begun
	commit, err := f.Queue().Settle(t.Context(), l, pack(2))
	if err == nil && fails {
		_, err = f.writer.add(t.Context(), 0, func(*tx) error { return errFull }, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	release()
	if err := commit.Wait(t.Context()); errors.Is(err, errFull) != fails || fails && postrider.CodeOf(err) != postrider.CodeUnavailable {
		t.Fatal(err)
	}
}

var errFull = errors.New("database or disk is full")

// onlyFollow fails the test unless what follows is there, once, and nothing else.
func (f *failing) onlyFollow(t *testing.T) {
	t.Helper()
	if n := rowsIn(t, f.DB, "queue"); n != 1 {
		t.Errorf("%d rows are left, want the one that follows", n)
	}
	if l := f.one(t); l.Pack.Deliveries[0].Event.Position != position(3) {
		t.Errorf("left is %+v", l.Pack)
	}
}

// A settle that fails leaves the lease as it was: nobody else gets the item, which can be settled once more.
func TestFailedSettle(t *testing.T) {
	t.Parallel()
	f := openFailing(t)
	l := f.one(t)
	f.settle(t, l, true)
	if others := f.take(t); len(others) > 0 {
		t.Errorf("%d items are due although the lease lasts", len(others))
	}
	f.settle(t, l, false)
	f.onlyFollow(t)
}

// A lease whose settle failed ends like any other.
func TestFailedSettleThenExpiry(t *testing.T) {
	t.Parallel()
	f := openFailing(t)
	f.settle(t, f.one(t), true)
	f.expire()
	f.settle(t, f.one(t), false)
	f.onlyFollow(t)
}

// An item whose settling fails again and again, by one lease after the other, stays one item, and what follows it comes once.
func TestFailedSettlesDoNotMultiply(t *testing.T) {
	t.Parallel()
	f := openFailing(t)
	var leases []*postrider.Lease
	for range 3 {
		leases = append(leases, f.one(t))
		for _, l := range leases {
			f.settle(t, l, true)
		}
		f.expire()
	}
	for _, l := range leases {
		f.settle(t, l, false)
	}
	f.onlyFollow(t)
}

// Two leases of one item, of which the first was over, are settled at once: what follows comes once, if both are in one group, and also
// if the group of the first fails after the second has been asked for.
func TestTwoSettles(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]bool{"in one group": false, "the first fails": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := openFailing(t)
			first := f.one(t)
			f.expire()
			second := f.one(t)
			held, release := hold(t, f.DB)
			<-held
			if _, err := f.Queue().Settle(t.Context(), first, pack(2)); err != nil {
				t.Fatal(err)
			}
			if fails { // the group is held once the first is settled in it, and the second comes into the next
				in, out := make(chan struct{}), make(chan struct{})
				if _, err := f.writer.add(t.Context(), groupBytes, func(*tx) error { close(in); <-out; return errFull }, nil); err != nil {
					t.Fatal(err)
				}
				release()
				<-in
				release = func() { close(out) }
			}
			commit, err := f.Queue().Settle(t.Context(), second, pack(2))
			if err != nil {
				t.Fatal(err)
			}
			release()
			if err := commit.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.onlyFollow(t)
		})
	}
}

// What is put is taken before it is durable, but not if it is to be Durable, nor while the disk fails: a put that fails would be sent
// as often as it is tried.
func TestNotTakenBeforeTheCommit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		durable, doubtful bool
		early             int
	}{"as a rule": {early: 1}, "durable": {durable: true}, "after a failure": {doubtful: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := openFailing(t)
			l := f.one(t)
			f.settle(t, l, c.doubtful)
			if !c.doubtful {
				f.one(t)
			}
			begun, release := hold(t, f.DB)
			<-begun
			item := pack(3)
			item.Durable = c.durable
			commit, err := f.Queue().Put(t.Context(), item)
			if err != nil {
				t.Fatal(err)
			}
			early := len(f.take(t))
			release()
			if err := commit.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if early != c.early || early+len(f.take(t)) != 1 {
				t.Errorf("%d items were taken before the commit, want %d", early, c.early)
			}
		})
	}
}

// TestHeldIsCounted has failures leave the count of what is in memory as it was.
func TestHeldIsCounted(t *testing.T) {
	t.Parallel()
	f := openFailing(t)
	l := f.one(t)
	for range 3 {
		f.settle(t, l, true)
	}
	f.settle(t, l, false)
	f.one(t)
	f.queue.mu.Lock()
	defer f.queue.mu.Unlock()
	if f.queue.held != 0 || f.queue.bytes != 0 {
		t.Errorf("%d items of %d bytes are counted, with none held", f.queue.held, f.queue.bytes)
	}
}
