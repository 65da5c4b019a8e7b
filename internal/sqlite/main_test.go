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

func openFolder(tb testing.TB, set ...func(*sqlite.Options)) *folder {
	tb.Helper()
	f := &folder{dir: tb.TempDir()}
	if len(set) > 0 {
		f.set = set[0]
	}
	f.open(tb)
	return f
}

func (f *folder) open(tb testing.TB) {
	tb.Helper()
	o := sqlite.Options{Dir: f.dir, Instance: "test"}
	if f.set != nil {
		f.set(&o)
	}
	db, err := sqlite.Open(tb.Context(), o)
	if err != nil {
		tb.Fatalf("open: %v", err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	f.db = db
}

// crash copies the files as they are and opens the copy.
func (f *folder) crash(tb testing.TB) *sqlite.DB {
	tb.Helper()
	dir := tb.TempDir()
	for _, name := range []string{sqlite.FileName + "-wal", sqlite.FileName} { // first the WAL: a checkpoint in between then loses nothing
		copyFile(tb, filepath.Join(f.dir, name), filepath.Join(dir, name))
	}
	f.dir = dir
	f.open(tb)
	return f.db
}

func copyFile(tb testing.TB, from, to string) {
	tb.Helper()
	in, err := os.Open(from)
	if os.IsNotExist(err) {
		return
	}
	if err != nil {
		tb.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		tb.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		tb.Fatal(err)
	}
}
