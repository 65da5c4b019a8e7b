package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/postrider/postrider"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	versionTable = "schema_versions"
	migrateTime  = 10 * time.Minute // a migration of large tables, and the wait for another process that runs it
)

// advisoryLock is the lock under which the schema is changed: one in each schema.
const advisoryLock = "hashtextextended('postrider.' || current_schema(), 0)"

// migrate brings the schema up to this version, one numbered migration a transaction, under an advisory lock. A schema that
// is up to date needs no right to change it.
func (d *Database) migrate(ctx context.Context) error {
	ctx, cancel := bounded(ctx, migrateTime)
	defer cancel()
	db := stdlib.OpenDBFromPool(d.pool)
	defer db.Close() //nolint:errcheck // the pool stays; there is nothing to lose
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithTableName(versionTable), goose.WithSessionLocker(locker{}),
		goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("postgres: read the migrations: %w", err)
	}
	current, latest, err := d.versions(ctx, provider)
	if err == nil && current < latest {
		_, err = provider.Up(ctx)
	}
	if err != nil {
		return fault(ctx, "bring the schema up to date", err)
	}
	if current > latest {
		return postrider.Errorf(postrider.CodeConflict,
			"the database has schema %d, written by a later version of postrider; this one knows %d: run the later version", current, latest)
	}
	return nil
}

// versions are that of the schema, 0 for none, and that of this binary.
func (d *Database) versions(ctx context.Context, provider *goose.Provider) (current, latest int64, err error) {
	sources := provider.ListSources()
	latest = sources[len(sources)-1].Version
	err = d.pool.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM "+versionTable).Scan(&current)
	if stateOf(err) == "42P01" { // undefined_table
		err = nil
	}
	return current, latest, err
}

// locker waits for the lock as long as ctx allows, where goose's own would ask now and then.
type locker struct{}

// SessionLock takes the lock.
func (locker) SessionLock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "SET statement_timeout = 0")
	if err == nil {
		_, err = conn.ExecContext(ctx, "SET lock_timeout = 0")
	}
	if err == nil {
		_, err = conn.ExecContext(ctx, "SELECT pg_advisory_lock("+advisoryLock+")")
	}
	return err
}

// SessionUnlock gives it back.
func (locker) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "SELECT pg_advisory_unlock("+advisoryLock+")")
	for _, name := range []string{"statement_timeout", "lock_timeout"} {
		_, reset := conn.ExecContext(ctx, "RESET "+name)
		err = errors.Join(err, reset)
	}
	return err
}

// firstOf is the first schema of a search path, which may be quoted.
func firstOf(path string) string {
	path = strings.TrimSpace(path)
	if rest, quoted := strings.CutPrefix(path, `"`); quoted {
		const escaped = "\x00"
		name, _, _ := strings.Cut(strings.ReplaceAll(rest, `""`, escaped), `"`)
		return strings.ReplaceAll(name, escaped, `"`)
	}
	first, _, _ := strings.Cut(path, ",")
	return strings.ToLower(strings.TrimSpace(first))
}
