package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"sort"

	"github.com/postrider/postrider"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the file to this version's schema, one numbered migration a transaction. The number of the last one is
// the file's user_version; a file that is ahead of this binary is refused.
func migrate(ctx context.Context, db *sql.DB) error {
	names := schemas()
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return fault("read the schema's version", err)
	}
	if version > len(names) {
		return postrider.Errorf(postrider.CodeConflict,
			"the data file has schema %d, written by a later version of postrider; this one knows %d: run the later version", version, len(names))
	}
	for i := version; i < len(names); i++ {
		if err := migrateOne(ctx, db, names[i], i+1); err != nil {
			return err
		}
	}
	return nil
}

// schemas are the migrations in their order.
func schemas() []string {
	names, _ := fs.Glob(migrations, "migrations/*.sql") // only a faulty pattern fails
	sort.Strings(names)
	return names
}

func migrateOne(ctx context.Context, db *sql.DB, name string, version int) error {
	script, err := migrations.ReadFile(name)
	if err != nil {
		return fmt.Errorf("read migration %s: %w", name, err)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fault("begin a migration", err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if _, err := tx.ExecContext(ctx, string(script)); err != nil {
		return fault("migration "+name, err)
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version)); err != nil {
		return fault("migration "+name, err)
	}
	return fault("migration "+name, tx.Commit())
}
