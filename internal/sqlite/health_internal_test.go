package sqlite

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// What the last write met is told; a later one that succeeds, if only that of the check, ends it.
func TestCheckTellsOfTheLastWrite(t *testing.T) {
	t.Parallel()
	db := openDB(t, t.TempDir())
	check := func() error { return db.Database().(postrider.Checker).Check(t.Context()) }
	if err := check(); err != nil {
		t.Errorf("at the start: %v", err)
	}
	commit, err := db.writer.add(t.Context(), 0, func(*tx) error { return errors.New("broken") }, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-commit.Done()
	if err := check(); err != nil || rowsIn(t, db, "meta") == 0 {
		t.Errorf("once the file takes writes again: %v", err)
	}
	db.writer.always = append(db.writer.always, func(*tx) error { return errors.New("broken") })
	_ = db.writer.do(t.Context(), func(*tx) error { return nil }) // it fails
	if err := check(); postrider.CodeOf(err) != postrider.CodeUnavailable {
		t.Errorf("while the file takes no writes: %v", err)
	}
}

// While a write hangs, that is told, and neither an event nor a change waits for it.
func TestHangingDisk(t *testing.T) {
	t.Parallel()
	db := openDB(t, t.TempDir())
	begun, release := hold(t, db)
	<-begun
	db.writer.mu.Lock()
	db.writer.began = time.Now().Add(-stuckAfter)
	db.writer.mu.Unlock()
	_, appended := db.Events().Append(t.Context(), []*postrider.Event{event("evt_1", []byte("x"))})
	changed := db.writer.do(t.Context(), func(*tx) error { return nil })
	for _, err := range []error{db.Events().(postrider.Checker).Check(t.Context()), appended, changed} {
		if postrider.CodeOf(err) != postrider.CodeUnavailable || !strings.Contains(err.Error(), "the disk does not answer") {
			t.Errorf("%v", err)
		}
	}
	behind, err := db.writer.add(t.Context(), 0, func(*tx) error { return nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	release()
	<-behind.Done()
	if err := db.writer.do(t.Context(), func(*tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	appendEvents(t, db, event("evt_1", []byte("x")))
}
