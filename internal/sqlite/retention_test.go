package sqlite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/sqlite"
)

// fileSize is that of the data file and of its -wal file.
func fileSize(t *testing.T, dir string) (size int64) {
	t.Helper()
	for _, name := range []string{sqlite.FileName, sqlite.FileName + "-wal"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil {
			size += info.Size()
		}
	}
	return size
}

// publishOld puts events into the log, has them read, and records their deliveries.
func publishOld(t *testing.T, db *sqlite.DB, n int, at time.Time) {
	t.Helper()
	var list []*postrider.Event
	var last *postrider.Commit
	for i := range n {
		size := 4 << 10
		if i%100 == 0 {
			size = 600 << 10 // in pieces
		}
		e := &postrider.Event{ID: fmt.Sprintf("evt_%d", i), Tenant: "acme", Type: "a.b", AcceptedAt: at.Add(time.Duration(i) * time.Millisecond),
			Payload: postrider.Payload{Bytes: make([]byte, size), Size: int64(size)}}
		commit, err := db.Events().Append(t.Context(), []*postrider.Event{e})
		if err != nil {
			t.Fatal(err)
		}
		list, last = append(list, e), commit
	}
	if err := last.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	var outcomes []postrider.Outcome
	for _, e := range list {
		outcomes = append(outcomes, postrider.Outcome{Kind: postrider.OutcomeAttempt, At: e.AcceptedAt, Tenant: "acme", Event: e.Head(), TargetID: 5,
			DeliveryID: postrider.NewDeliveryID(e, 5), Attempts: 1, State: postrider.StateDelivered,
			Attempt: &postrider.Attempt{Number: 1, StartedAt: e.AcceptedAt, Class: postrider.ClassOK, Status: 200}})
	}
	commit, err := db.Outcomes(true).Record(t.Context(), outcomes)
	if err == nil {
		err = commit.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	readAll(t, db, n)
}

// readAll reads n events and commits the position behind them.
func readAll(t *testing.T, db *sqlite.DB, n int) {
	t.Helper()
	reader, err := db.Events().Reader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for got := 0; got < n; {
		b, err := reader.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got += len(b.Events)
		reader.Commit(b)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestRetentionGivesSpaceBack expires what is old while others write: they go on, what is young stays, and the file shrinks.
func TestRetentionGivesSpaceBack(t *testing.T) {
	t.Parallel()
	const n = 3000
	now := time.Now()
	f := openFolder(t)
	publishOld(t, f.db, n, now.Add(-40*24*time.Hour))
	before := fileSize(t, f.dir)

	var stop atomic.Bool
	var written int
	var longest time.Duration
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			start := time.Now()
			e := &postrider.Event{ID: fmt.Sprintf("new_%d", written), Tenant: "acme", Type: "a.b", AcceptedAt: now, Payload: postrider.Payload{Bytes: []byte("{}"), Size: 2}}
			commit, err := f.db.Events().Append(t.Context(), []*postrider.Event{e})
			if err == nil {
				err = commit.Wait(t.Context())
			}
			if err != nil {
				t.Error(err)
				return
			}
			written, longest = written+1, max(longest, time.Since(start))
		}
	})
	begin := time.Now()
	removed, err := f.db.Database().Expire(t.Context(), now.Add(-30*24*time.Hour))
	if err == nil {
		var events int
		if events, err = f.db.Events().Expire(t.Context(), now.Add(-30*24*time.Hour)); events != n {
			t.Errorf("%d of %d events removed", events, n)
		}
	}
	took := time.Since(begin)
	stop.Store(true)
	wg.Wait()
	if err != nil || removed != n {
		t.Fatalf("%d of %d deliveries removed, %v", removed, n, err)
	}
	if written < 5 { // an expiry in one transaction lets one pass, at most
		t.Errorf("only %d events were written meanwhile", written)
	}
	if _, err := f.db.Events().Read(t.Context(), postrider.Position(fmt.Sprint(n+1))); err != nil {
		t.Errorf("a young event: %v", err)
	}
	if _, err := f.db.Events().Read(t.Context(), "1"); postrider.CodeOf(err) != postrider.CodeGone {
		t.Errorf("an old event: %v", err)
	}
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	after := fileSize(t, f.dir)
	t.Logf("%d KiB before, %d KiB after; it took %v, %d events were written meanwhile, the longest in %v", before>>10, after>>10, took.Round(time.Millisecond), written,
		longest.Round(time.Millisecond))
	if after > before/3 {
		t.Errorf("the file has %d KiB of %d KiB", after>>10, before>>10)
	}
}
