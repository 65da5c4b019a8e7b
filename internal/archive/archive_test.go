package archive_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/archive"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func outcomes(n int) []postrider.Outcome {
	all := make([]postrider.Outcome, n)
	for i := range all {
		all[i] = postrider.Outcome{Kind: postrider.OutcomeState, At: time.Now(), Tenant: "acme", State: postrider.StateCancelled}
	}
	return all
}

// run starts an archiver; what it returns stops it.
func run(t *testing.T, options archive.Options) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	a := archive.New(options)
	go func() { ended <- a.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

var errAway = postrider.Errorf(postrider.CodeUnavailable, "away")

// TestSmallBatchesAreMerged: what comes within the window is one transaction a partition.
func TestSmallBatchesAreMerged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, db := newLog(), newDatabase()
		l.add("0", outcomes(10)...)
		l.add("1", outcomes(7)...)
		stop := run(t, archive.Options{Outcomes: l, Queue: newLane(), Database: db})
		time.Sleep(archive.DefaultWindow / 2)
		l.add("0", outcomes(5)...)
		time.Sleep(time.Second)
		stop()
		if len(db.batches) != 2 || db.stored("0") != 15 || db.stored("1") != 7 || len(db.holes) > 0 {
			t.Errorf("%d batches, %v, holes %v", len(db.batches), db.count, db.holes)
		}
		for _, b := range db.batches {
			if b.Through.IsZero() {
				t.Error("a batch lost its Through")
			}
		}
		if l.archived["0"] != "15" || l.archived["1"] != "7" || l.open != 0 {
			t.Errorf("the log knows %v; %d readers open", l.archived, l.open)
		}
	})
}

// TestBatchesAreBounded: MaxBatch ends a round before the window does.
func TestBatchesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, db := newLog(), newDatabase()
		l.add("0", outcomes(1000)...)
		stop := run(t, archive.Options{Outcomes: l, Queue: newLane(), Database: db, MaxBatch: 100})
		time.Sleep(time.Minute)
		stop()
		for _, b := range db.batches {
			if len(b.Outcomes) > 100+3 {
				t.Errorf("a batch of %d", len(b.Outcomes))
			}
		}
		if db.stored("0") != 1000 || len(db.holes) > 0 {
			t.Errorf("%d stored, holes %v", db.stored("0"), db.holes)
		}
	})
}

// TestDatabaseAway: an hour without the database skips nothing, and the log is told of nothing that is not stored.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, db, q := newLog(), newDatabase(), newLane()
		until, calls := time.Now().Add(time.Hour), 0
		db.err = func(*postrider.OutcomeBatch) error {
			if time.Now().Before(until) {
				calls++
				return errAway
			}
			return nil
		}
		stop := run(t, archive.Options{Outcomes: l, Queue: q, Database: db})
		for range 30 {
			l.add("0", outcomes(50)...)
			q.add(outcomes(4)...)
			time.Sleep(time.Minute)
		}
		if len(l.archived) > 0 || q.settled > 0 {
			t.Error("archived or settled before it was stored")
		}
		time.Sleep(31 * time.Minute)
		stop()
		if db.stored("0") != 1500 || len(db.holes) > 0 || l.archived["0"] != "1500" {
			t.Errorf("%d of 1500 stored, archived %v, holes %v", db.stored("0"), l.archived, db.holes)
		}
		if db.stored(archive.LanePartition) != 120 || q.settled != 30 {
			t.Errorf("of the lane %d of 120 stored, %d of 30 settled", db.stored(archive.LanePartition), q.settled)
		}
		if calls > 40_000 {
			t.Errorf("%d tries in an hour: no back-off", calls)
		}
	})
}

// TestLogAway: the log's faults are waited out; a closed log ends the role.
func TestLogAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, db, q := newLog(), newDatabase(), newLane()
		until := time.Now().Add(10 * time.Minute)
		away := func() error {
			if time.Now().Before(until) {
				return errAway
			}
			return nil
		}
		l.nextErr, q.takeErr = away, away
		l.add("0", outcomes(5)...)
		q.add(outcomes(5)...)
		stop := run(t, archive.Options{Outcomes: l, Queue: q, Database: db})
		time.Sleep(11 * time.Minute)
		stop()
		if db.stored("0") != 5 || db.stored(archive.LanePartition) != 5 {
			t.Errorf("stored %v", db.count)
		}
		l.nextErr = func() error { return postrider.Errorf(postrider.CodeGone, "closed") }
		if err := archive.New(archive.Options{Outcomes: l, Queue: q, Database: db}).Run(t.Context()); postrider.CodeOf(err) != postrider.CodeGone {
			t.Errorf("%v", err)
		}
	})
}

// TestLane: the outcomes of the queue are stored without a position, in few transactions, and one item that the database
// refuses does not hold up the others.
func TestLane(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db, q := newDatabase(), newLane()
		bad := outcomes(1)
		bad[0].Tenant = "bad"
		db.err = func(b *postrider.OutcomeBatch) error {
			for _, o := range b.Outcomes {
				if o.Tenant == "bad" {
					return errors.New("refused")
				}
			}
			return nil
		}
		for range 20 {
			q.add(outcomes(10)...)
		}
		q.add(bad...)
		q.add()
		stop := run(t, archive.Options{Outcomes: direct{newLog()}, Queue: q, Database: db})
		time.Sleep(10 * time.Minute)
		stop()
		if db.stored(archive.LanePartition) != 200 || q.settled != 21 {
			t.Errorf("%d of 200 stored, %d of 21 settled", db.stored(archive.LanePartition), q.settled)
		}
		for _, b := range db.batches {
			if b.End != "" || !b.Through.IsZero() {
				t.Error("outcomes of the queue have a position")
			}
		}
		if len(db.to) > 0 {
			t.Errorf("positions stored: %v", db.to)
		}
		if q.taken > 400 {
			t.Errorf("%d takes in 10 minutes: no back-off", q.taken)
		}
	})
}

// TestStop: what was read is stored before Run returns, and read again by the next archiver if it was not.
func TestStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, db := newLog(), newDatabase()
		l.add("0", outcomes(5)...)
		stop := run(t, archive.Options{Outcomes: l, Queue: newLane(), Database: db})
		synctest.Wait() // it has read, and waits for the window
		stop()
		if db.stored("0") != 5 || l.archived["0"] != "5" {
			t.Errorf("%d of 5 stored at the stop", db.stored("0"))
		}
		l.add("0", outcomes(5)...)
		db.err = func(*postrider.OutcomeBatch) error { return errAway }
		stop = run(t, archive.Options{Outcomes: l, Queue: newLane(), Database: db, Drain: 7 * time.Second})
		time.Sleep(time.Second)
		begin := time.Now()
		stop()
		if took := time.Since(begin); took > 7*time.Second {
			t.Errorf("a stop without the database took %v", took)
		}
		db.err = nil
		stop = run(t, archive.Options{Outcomes: l, Queue: newLane(), Database: db})
		time.Sleep(time.Second)
		stop()
		if db.stored("0") != 10 || len(db.holes) > 0 || l.open != 0 {
			t.Errorf("%d of 10 stored, holes %v, %d readers open", db.stored("0"), db.holes, l.open)
		}
	})
}

// TestExpire: what is past its retention goes, every minute; not while the clock has jumped ahead.
func TestExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db, e, p := newDatabase(), &events{}, &payloads{}
		begin := time.Now()
		stop := run(t, archive.Options{Outcomes: direct{newLog()}, Queue: newLane(), Database: db, Events: e, Payloads: p,
			Retention: time.Hour, EventRetention: 3 * time.Hour, PayloadRetention: 2 * time.Hour})
		time.Sleep(10*time.Minute + time.Second)
		stop()
		if len(db.expired) != 10 || len(e.expired) != 10 || len(p.expired) != 10 {
			t.Fatalf("%d, %d and %d expiries in 10 minutes", len(db.expired), len(e.expired), len(p.expired))
		}
		if got, want := db.expired[0], begin.Add(time.Minute-time.Hour); !got.Equal(want) {
			t.Errorf("deliveries before %v expired, want %v", got, want)
		}
		if got, want := e.expired[0], begin.Add(time.Minute-3*time.Hour); !got.Equal(want) {
			t.Errorf("events before %v expired, want %v", got, want)
		}
		if got, want := p.expired[0], begin.Add(time.Minute-2*time.Hour); !got.Equal(want) {
			t.Errorf("payloads before %v expired, want %v", got, want)
		}
	})
}

func TestExpireMistrustsAJumpingClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newDatabase()
		begin := time.Now()
		clock := func() time.Time {
			now := time.Now()
			if gone := now.Sub(begin); gone > 5*time.Minute && gone < 50*time.Minute {
				return now.Add(365 * 24 * time.Hour)
			}
			return now
		}
		stop := run(t, archive.Options{Outcomes: direct{newLog()}, Queue: newLane(), Database: db, Retention: time.Hour, Clock: clock})
		time.Sleep(3 * time.Hour)
		stop()
		for _, before := range db.expired {
			if before.After(time.Now().Add(-time.Hour)) {
				t.Errorf("a clock that jumped expired what came before %v", before)
			}
		}
		if n := len(db.expired); n < 100 || n > 130 {
			t.Errorf("%d expiries in 3 hours with one hour of mistrust", n)
		}
	})
}

// TestExpireTellsAJumpOnce: that the clock is not trusted is logged when it begins and when it is over, not in between; a jump meanwhile
// prolongs it.
func TestExpireTellsAJumpOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		db := newDatabase()
		begin := time.Now()
		clock := func() time.Time {
			now := time.Now()
			gone := now.Sub(begin)
			for _, jump := range []time.Duration{5 * time.Minute, 35 * time.Minute, 3 * time.Hour} {
				if gone > jump+30*time.Second { // between two tries
					now = now.Add(24 * time.Hour)
				}
			}
			return now
		}
		stop := run(t, archive.Options{Outcomes: direct{newLog()}, Queue: newLane(), Database: db, Retention: time.Hour, Clock: clock,
			Logger: slog.New(slog.NewTextHandler(&log, nil))})
		time.Sleep(5*time.Hour + time.Second)
		stop()
		if began, over := strings.Count(log.String(), "jumped ahead"), strings.Count(log.String(), "trusted again"); began != 2 || over != 2 {
			t.Errorf("two doubts are told %d times, their ends %d times:\n%s", began, over, log.String())
		}
		if n := len(db.expired); n != 150 {
			t.Errorf("%d expiries in 300 minutes with 90 and 60 of doubt", n)
		}
	})
}

// TestExpireTellsAnOutageOnce: the first failure of a row is logged, and its end, of each kind of thing apart.
func TestExpireTellsAnOutageOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		db, e := newDatabase(), &events{}
		stop := run(t, archive.Options{Outcomes: direct{newLog()}, Queue: newLane(), Database: db, Events: e, Retention: time.Hour, EventRetention: time.Hour,
			Logger: slog.New(slog.NewTextHandler(&log, nil))})
		time.Sleep(30 * time.Second) // what follows is between two tries
		for range 2 {
			db.refuses(errAway)
			time.Sleep(time.Hour)
			db.refuses(nil)
			time.Sleep(time.Hour)
		}
		stop()
		if n := len(db.expired); n != 240 {
			t.Errorf("%d tries in 4 hours", n)
		}
		failed, over := strings.Count(log.String(), "could not be removed"), strings.Count(log.String(), "is removed again")
		if failed != 2 || over != 2 || strings.Contains(log.String(), "what=events") {
			t.Errorf("two outages are told %d times, their ends %d times:\n%s", failed, over, log.String())
		}
	})
}

func TestNothingToExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newDatabase()
		stop := run(t, archive.Options{Outcomes: direct{newLog()}, Queue: newLane(), Database: db})
		time.Sleep(time.Hour)
		stop()
		if len(db.expired) > 0 || len(db.batches) > 0 {
			t.Error("an idle archiver without a retention wrote")
		}
	})
}
