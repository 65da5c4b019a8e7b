package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/postrider/postrider"
)

// maxFaults is how many faults a Report names.
const maxFaults = 100

// Report is what Check found.
type Report struct {
	Schema int              `json:"schema"`
	Counts map[string]int64 `json:"counts"` // rows by table
	Faults []string         `json:"faults"` // at most 100; none: the file is sound
	More   int64            `json:"more"`   // faults beyond those
}

func (r *Report) faultf(format string, args ...any) {
	if len(r.Faults) == maxFaults {
		r.More++
		return
	}
	r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
}

// OK reports whether no fault was found.
func (r *Report) OK() bool { return len(r.Faults) == 0 }

// Check reads the whole file of a data folder, which a process may be using, and tells what is wrong with it: pages that are
// damaged, rows that can't be read, payloads with pieces missing or other bytes than were stored, references that lead nowhere. It changes nothing but that,
// if no process uses the folder, what a crash left in the -wal file is moved into the file.
//
// The error tells that the file could not be looked at: CodeNotFound if there is none, CodeConflict if a later version
// wrote it, CodeUnavailable if it can't be opened. While a check of a live folder runs, its -wal file grows.
func Check(ctx context.Context, dir string) (*Report, error) {
	db, err := openForReading(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }() // it wrote nothing
	// One transaction, so that all that is read is of one moment.
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, fault("read", err)
	}
	defer func() { _ = tx.Rollback() }() // it wrote nothing
	c := &checker{ctx: ctx, tx: tx, report: &Report{Counts: map[string]int64{}, Faults: []string{}}}
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&c.report.Schema); err != nil {
		return nil, fault("read the schema's version", err)
	}
	if latest := len(schemas()); c.report.Schema > latest {
		return nil, postrider.Errorf(postrider.CodeConflict, "the data file has schema %d, written by a later version of postrider; this one knows %d", c.report.Schema, latest)
	} else if c.report.Schema < latest {
		c.report.faultf("the file has schema %d, of an earlier version: only its pages were checked; start serve once to bring it to %d", c.report.Schema, latest)
		return c.report, c.pages()
	}
	return c.report, c.all()
}

// openForReading opens the file of a folder for reading, beside a process that may have it open.
func openForReading(ctx context.Context, dir string) (*sql.DB, error) {
	path := filepath.Join(dir, FileName)
	if _, err := os.Stat(path); err != nil {
		if os.IsNotExist(err) {
			return nil, postrider.Errorf(postrider.CodeNotFound, "there is no data file %s", path)
		}
		return nil, postrider.Errorf(postrider.CodeUnavailable, "the data file can't be read: %w", err)
	}
	dsn := "file:" + path + "?_pragma=busy_timeout(10000)&_pragma=query_only(1)&_pragma=temp_store(memory)"
	if readOnlyFolder(dir) {
		if info, err := os.Stat(path + "-wal"); err == nil && info.Size() > 0 {
			return nil, postrider.Errorf(postrider.CodeUnavailable, "the folder is read-only, and %s-wal holds what is not in the file yet: copy both to where they can be written", FileName)
		}
		dsn = "file:" + path + "?mode=ro&immutable=1"
	}
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fault("open the file", err)
	}
	db.SetMaxOpenConns(1)
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close() // the other error tells more
		return nil, fault("open the file", err)
	}
	return db, nil
}

// readOnlyFolder tries to write into a folder.
func readOnlyFolder(dir string) bool {
	f, err := os.CreateTemp(dir, ".postrider-*")
	if err != nil {
		return true
	}
	f.Close()
	_ = os.Remove(f.Name()) // an empty file is no harm
	return false
}

// checker goes through the tables in one transaction.
type checker struct {
	ctx    context.Context
	tx     *sql.Tx
	report *Report
}

func (c *checker) all() error {
	if err := c.pages(); err != nil || !c.report.OK() { // what stands on damaged pages means nothing
		return err
	}
	for _, step := range []func() error{c.counts, c.positions, c.payloads, c.checksums, c.entities, c.deliveries, c.byTarget, c.queued} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// pages has SQLite look at every page and index.
func (c *checker) pages() error {
	return c.each("PRAGMA integrity_check(100)", func(rows *sql.Rows) error {
		var text string
		if err := rows.Scan(&text); err != nil {
			return err
		}
		if text != "ok" {
			c.report.faultf("damaged: %s", strings.ReplaceAll(text, "\n", "; "))
		}
		return nil
	})
}

var tables = []string{"events", "chunks", "payloads", "queue", "targets", "filters", "subscriptions", "keys", "event_heads", "deliveries", "attempts", "target_deliveries",
	"outcome_log", "notices"}

func (c *checker) counts() error {
	for _, table := range tables {
		var n int64
		if err := c.tx.QueryRowContext(c.ctx, "SELECT count(*) FROM "+table).Scan(&n); err != nil {
			return fault("count "+table, err)
		}
		c.report.Counts[table] = n
	}
	return nil
}

// each reads rows. What SQLite finds damaged on the way is a fault that is reported, not an error.
func (c *checker) each(query string, scan func(*sql.Rows) error, args ...any) error {
	rows, err := c.tx.QueryContext(c.ctx, query, args...)
	if err == nil {
		err = each(rows, scan)
	}
	if damaged(err) {
		c.report.faultf("damaged: %v", err)
		return nil
	}
	return fault("check", err)
}

// list adds a fault for each row of a query, made of its columns.
func (c *checker) list(format, query string, columns int) error {
	return c.each(query, func(rows *sql.Rows) error {
		values, refs := make([]any, columns), make([]any, columns)
		for i := range values {
			refs[i] = &values[i]
		}
		if err := rows.Scan(refs...); err != nil {
			return err
		}
		c.report.faultf(format, values...)
		return nil
	})
}
