package sqlite_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/postrider/postrider/internal/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// folder is a data folder that can be taken away from under a DB, as by a crash: what the DB has synced by then is copied
// to a new folder and opened there, while the old one is left to itself.
type folder struct {
	dir string
	db  *sqlite.DB
	set func(*sqlite.Options)
}

func openFolder(t testing.TB, set ...func(*sqlite.Options)) *folder {
	t.Helper()
	f := &folder{dir: t.TempDir()}
	if len(set) > 0 {
		f.set = set[0]
	}
	f.open(t)
	return f
}

func (f *folder) open(t testing.TB) {
	t.Helper()
	o := sqlite.Options{Dir: f.dir, Instance: "test"}
	if f.set != nil {
		f.set(&o)
	}
	db, err := sqlite.Open(t.Context(), o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	f.db = db
}

// crash copies the files as they are and opens the copy.
func (f *folder) crash(t testing.TB) *sqlite.DB {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{sqlite.FileName + "-wal", sqlite.FileName} { // first the WAL: a checkpoint in between then loses nothing
		copyFile(t, filepath.Join(f.dir, name), filepath.Join(dir, name))
	}
	f.dir = dir
	f.open(t)
	return f.db
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if os.IsNotExist(err) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
}
