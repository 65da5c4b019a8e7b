package sqlite

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"
)

// The events in the file are nobody else's to read, whatever the folder and the umask let others do.
func TestFilesAreTheOwnersAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	db := openDB(t, dir)
	appendEvents(t, db, event("evt_1", []byte("x")))
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(filepath.Join(dir, FileName+suffix))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s%s: %v, mode %v; want 0600", FileName, suffix, err, info.Mode())
		}
	}
}

// What is written is moved beside the writer: the -wal file begins anew before it is so long that the writer would move it all.
func TestWALIsMovedBesideTheWriter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := openDB(t, dir)
	const page = 4096
	for range 2 * walMost * page / (1 << 20) {
		appendEvents(t, db, event("evt_1", make([]byte, 1<<20)))
	}
	info, err := os.Stat(filepath.Join(dir, FileName+"-wal"))
	if err != nil {
		t.Fatal(err)
	}
	if pages := info.Size() / page; pages >= walMost {
		t.Errorf("the -wal file has grown to %d pages", pages)
	}
}

// While somebody reads for long the -wal file grows; once they have ended it is given back.
func TestWALIsGivenBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := openDB(t, dir)
	path := filepath.Join(dir, FileName)
	size := func() int64 {
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	write := func(n int) {
		body := make([]byte, 1<<20)
		for range n {
			appendEvents(t, db, event("evt_1", body))
		}
	}
	write(1)
	other, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	reading, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reading.Rollback()
	var n int
	if err := reading.QueryRowContext(t.Context(), "SELECT count(*) FROM events").Scan(&n); err != nil {
		t.Fatal(err)
	}
	for size() <= walKept+walKept/4 {
		write(8)
	}
	if err := reading.Rollback(); err != nil {
		t.Fatal(err)
	}
	for range 64 { // the next checkpoint, and the write that begins the file anew
		if write(1); size() <= walKept {
			return
		}
	}
	t.Errorf("the -wal file still has %d MiB once nobody reads", size()>>20)
}
