package sqlite

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/postrider/postrider"
)

// Who waits for the position to be saved goes on, though groups that had it failed and nothing else is written.
func TestNextOutlivesAFailedSave(t *testing.T) {
	t.Parallel()
	db := openDB(t, t.TempDir())
	list := make([]*postrider.Event, 2*maxUnsaved)
	for i := range list {
		list[i] = event("evt_1", []byte("x"))
	}
	appendEvents(t, db, list...)
	r, err := db.Events().Reader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var failures atomic.Int64
	if err := db.writer.do(t.Context(), func(*tx) error { // the writer's own goroutine uses the list
		db.writer.always = append(db.writer.always, func(*tx) error {
			if n := failures.Add(1); n > 1 && n < 6 { // the first is the group that adds it
				return errors.New("broken")
			}
			return nil
		})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for seen := 0; seen < len(list); {
		b, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seen += len(b.Events)
		r.Commit(b)
	}
	if failures.Load() < 6 {
		t.Errorf("%d groups were written: none of them failed", failures.Load())
	}
}
