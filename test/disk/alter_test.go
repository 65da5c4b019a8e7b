package disk

import (
	"database/sql"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite" // the driver, in pure Go
)

// open opens the file of a folder as any SQLite tool would.
func open(t *testing.T, dir string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "postrider.db"))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	return db
}

// alter runs a statement on the file of a folder.
func alter(t *testing.T, dir, statement string) {
	t.Helper()
	db := open(t, dir)
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// pragma reads a setting of the file of a folder.
func pragma(t *testing.T, dir, name string) (value int) {
	t.Helper()
	db := open(t, dir)
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}
