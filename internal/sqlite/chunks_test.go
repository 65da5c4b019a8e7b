package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"weak"

	"github.com/postrider/postrider"
)

// Pieces of a payload whose row was never written are gone after the next start, though later ones have their row.
func TestUnfinishedUploadsAreRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := openDB(t, dir)
	if _, err := db.chunks.write(t.Context(), bytes.Repeat([]byte{2}, 300<<10)); err != nil {
		t.Fatal(err)
	}
	if err := db.Payloads().Put(t.Context(), "kept", bytes.Repeat([]byte{1}, 300<<10)); err != nil {
		t.Fatal(err)
	}
	if n := rowsIn(t, db, "chunks"); n != 4 {
		t.Fatalf("%d pieces", n)
	}
	db = reopen(t, db, dir)
	if n, uploads := rowsIn(t, db, "chunks"), rowsIn(t, db, "uploads"); n != 2 || uploads != 0 {
		t.Errorf("%d pieces and %d uploads are left, want 2 and 0", n, uploads)
	}
	if got, err := db.Payloads().Get(t.Context(), "kept"); err != nil || len(got) != 300<<10 {
		t.Errorf("the payload that has its row: %d bytes, %v", len(got), err)
	}
}

// A large event is whole after a start, however many came after it and in whatever order their uploads ended.
func TestChunksOfOldEventsAreKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := openDB(t, dir)
	db.chunks.last.Store(1000) // the oldest event has the highest number
	appendEvents(t, db, event("large", bytes.Repeat([]byte{7}, 300<<10)))
	db.chunks.last.Store(10)
	small := make([]*postrider.Event, 1500)
	for i := range small {
		small[i] = event(fmt.Sprint("small", i), []byte("{}"))
	}
	appendEvents(t, db, small...)
	appendEvents(t, db, event("large2", bytes.Repeat([]byte{8}, 300<<10)))
	db = reopen(t, db, dir)
	for position, size := range map[string]int{"1": 300 << 10, "1502": 300 << 10} {
		e, err := db.Events().Read(t.Context(), postrider.Position(position))
		if err != nil || len(e.Payload.Bytes) != size {
			t.Errorf("the event at %s: %v", position, err)
		}
	}
	if err := db.Payloads().Put(t.Context(), "next", bytes.Repeat([]byte{1}, 300<<10)); err != nil {
		t.Errorf("numbers go on after the highest: %v", err)
	}
}

// An upload that is given up leaves nothing, without a new start.
func TestAbandonedUploadsGiveTheirSpaceBack(t *testing.T) {
	t.Parallel()
	db := openDB(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := db.chunks.write(ctx, bytes.Repeat([]byte{2}, 3<<20)); !errors.Is(err, context.Canceled) {
		t.Fatalf("a write that was cancelled: %v", err)
	}
	for range 2 { // the second group comes after all that the upload had in flight
		if err := db.writer.do(t.Context(), func(*tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if n, uploads := rowsIn(t, db, "chunks"), rowsIn(t, db, "uploads"); n != 0 || uploads != 0 {
		t.Errorf("%d pieces and %d uploads are left", n, uploads)
	}
}

// Nothing that waits for the disk keeps a payload whose upload was given up.
func TestGivenUpPayloadsAreNotKept(t *testing.T) {
	t.Parallel()
	db := openDB(t, t.TempDir())
	begun, release := hold(t, db)
	defer release()
	<-begun
	payload := bytes.Repeat([]byte{2}, 3<<20)
	first := weak.Make(&payload[0])
	ctx, cancel := context.WithCancel(t.Context())
	given := make(chan error, 1)
	go func(payload []byte) {
		_, err := db.chunks.write(ctx, payload)
		given <- err
	}(payload)
	for queued := 0; queued < inFlight; { // until as much of it waits as may
		db.writer.mu.Lock()
		queued = 0
		for _, g := range db.writer.groups {
			queued += len(g.ops)
		}
		db.writer.mu.Unlock()
		runtime.Gosched()
	}
	cancel()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for n := 0; first.Value() != nil; n++ {
		if n == 100 {
			t.Fatal("the payload is kept")
		}
		runtime.GC()
	}
}

// Where the group of the row fails, its chunks go with the next group that does not.
func TestChunksOfFailedRowsAreRemoved(t *testing.T) {
	t.Parallel()
	db := openDB(t, t.TempDir())
	broken := errors.New("broken")
	hold := make(chan struct{})
	if _, err := db.writer.add(t.Context(), 0, func(*tx) error { <-hold; return nil }, nil); err != nil {
		t.Fatal(err)
	}
	blob := func() int64 {
		u := &upload{blob: db.chunks.last.Add(1)}
		u.payload.Store(&[]byte{1})
		_, err := db.writer.add(t.Context(), 0, func(tx *tx) error { return tx.insertChunk(u, 0) }, nil)
		if err != nil {
			t.Fatal(err)
		}
		return u.blob
	}()
	close(hold)
	if err := db.writer.do(t.Context(), func(*tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	commit, err := db.writer.add(t.Context(), 0, func(*tx) error { return broken }, func() { db.chunks.abandon(blob) })
	if err != nil {
		t.Fatal(err)
	}
	if err := commit.Wait(t.Context()); !errors.Is(err, broken) {
		t.Fatalf("the group: %v", err)
	}
	if err := db.writer.do(t.Context(), func(*tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if n, uploads := rowsIn(t, db, "chunks"), rowsIn(t, db, "uploads"); n != 0 || uploads != 0 {
		t.Errorf("%d pieces and %d uploads are left", n, uploads)
	}
}

func event(id string, payload []byte) *postrider.Event {
	return &postrider.Event{ID: id, Tenant: "acme", Type: "a.b", Payload: postrider.Payload{Bytes: payload, Size: int64(len(payload))}}
}

func appendEvents(t *testing.T, db *DB, list ...*postrider.Event) {
	t.Helper()
	commit, err := db.Events().Append(t.Context(), list)
	if err == nil {
		err = commit.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func reopen(t *testing.T, db *DB, dir string) *DB {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return openDB(t, dir)
}
