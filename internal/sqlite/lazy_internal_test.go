package sqlite

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestLazily: what nobody waits for is written with what somebody waits for, and by itself soon.
func TestLazily(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		db := openDB(t, dir)
		nothing := func(*tx) error { return nil }
		begun := time.Now()
		lazy, err := db.writer.addLazily(t.Context(), 0, nothing, nil)
		must(t, err)
		awaited, err := db.writer.add(t.Context(), 0, nothing, nil)
		must(t, err)
		must(t, awaited.Wait(t.Context()))
		if lazy != awaited || time.Since(begun) != 0 {
			t.Errorf("one commit: %v; after %v", lazy == awaited, time.Since(begun))
		}
		lazy, err = db.writer.addLazily(t.Context(), 0, nothing, nil)
		must(t, err)
		must(t, lazy.Wait(t.Context()))
		if took := time.Since(begun); took != lazyFor {
			t.Errorf("alone it is written after %v", took)
		}
		begun = time.Now()
		lazy, err = db.writer.addLazily(t.Context(), groupBytes, nothing, nil)
		must(t, err)
		must(t, lazy.Wait(t.Context()))
		if took := time.Since(begun); took != 0 {
			t.Errorf("a full group is written after %v", took)
		}
	})
}
