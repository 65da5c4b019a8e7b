package sqlite

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/postrider/postrider"
)

const changesKept = 100_000 // then the oldest go, and a reader that is further behind loads anew

// database is a postrider.Database.
type database struct {
	db      *DB
	replays replays

	mu       sync.Mutex
	watchers map[chan struct{}]struct{}
}

var _ postrider.Database = (*database)(nil)

func openDatabase(_ context.Context, db *DB) (*database, error) {
	return &database{db: db, watchers: map[chan struct{}]struct{}{}}, nil
}

// CheckSecretKey compares or stores the fingerprint; see postrider.Database.
func (d *database) CheckSecretKey(ctx context.Context, fingerprint [32]byte) error {
	return d.db.writer.do(ctx, func(t *tx) error {
		var stored []byte
		err := t.row("SELECT value FROM meta WHERE name = 'secret_key'", nil, &stored)
		if errors.Is(err, sql.ErrNoRows) {
			return t.exec("INSERT INTO meta (name, value) VALUES ('secret_key', ?)", fingerprint[:])
		}
		if err == nil && !bytes.Equal(stored, fingerprint[:]) {
			return postrider.Errorf(postrider.CodeConflict, "the secret key is not the one that this database was written with; its secrets could not be read")
		}
		return err
	})
}

// Close does nothing: the file is the DB's.
func (d *database) Close() error { return nil }

// newID draws an entity's id: positive, below 2^53, not to be guessed from another.
func newID() int64 {
	var b [8]byte
	for {
		_, _ = rand.Read(b[:]) // it never fails
		if id := int64(binary.LittleEndian.Uint64(b[:]) & postrider.MaxEntityID); id > 0 {
			return id
		}
	}
}

// record enters a change into the feed and returns its version. The writer is one, so versions are dense and in order.
func (d *database) record(t *tx, kind postrider.Kind, tenant string, id int64) (uint64, error) {
	var version int64
	if err := t.row("SELECT coalesce(max(version), 0) + 1 FROM changes", nil, &version); err != nil {
		return 0, err
	}
	err := t.exec("INSERT INTO changes (version, kind, id, tenant, by, at) VALUES (?, ?, ?, ?, ?, ?)",
		version, int(kind), id, tenant, d.db.options.Instance, d.db.clock().UnixMilli())
	if err != nil {
		return 0, err
	}
	if version%1000 == 0 {
		if err := t.exec("DELETE FROM changes WHERE version <= ?", version-changesKept); err != nil {
			return 0, err
		}
	}
	t.onCommit(d.notify)
	return uint64(version), nil
}

func (d *database) now() time.Time { return d.db.clock().UTC().Truncate(time.Millisecond) }

// page reads what a Page asks for: the sequence number after which the list goes on, and how many rows.
func page(p postrider.Page) (after int64, limit int, err error) {
	limit = p.Limit
	if limit == 0 {
		limit = postrider.DefaultPageLimit
	}
	if p.After == "" {
		return 0, limit, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(p.After)
	if err == nil {
		after, err = strconv.ParseInt(string(raw), 10, 64)
	}
	if err != nil {
		return 0, 0, postrider.Invalid("after", "is no cursor that a list gave")
	}
	return after, limit, nil
}

func cursor(seq int64) string {
	return base64.RawURLEncoding.EncodeToString(strconv.AppendInt(nil, seq, 10))
}

// listOf pages through a table, one more row than is wanted, to tell whether there is a next page.
func listOf[T any](ctx context.Context, d *database, table, columns, tenant string, p postrider.Page, scan func(scanner) (*T, error)) ([]*T, string, error) {
	after, limit, err := page(p)
	if err != nil {
		return nil, "", err
	}
	rows, err := d.db.read.QueryContext(ctx, "SELECT seq, "+columns+" FROM "+table+" WHERE tenant = ? AND seq > ? ORDER BY seq LIMIT ?", tenant, after, limit+1)
	if err != nil {
		return nil, "", fault("list "+table, err)
	}
	var items []*T
	var next string
	var last int64
	err = each(rows, func(rows *sql.Rows) error {
		if len(items) == limit {
			next = cursor(last)
			return nil
		}
		item, err := scan(withSeq{rows, &last})
		items = append(items, item)
		return err
	})
	return items, next, fault("list "+table, err)
}

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

// withSeq reads the sequence number before the columns.
type withSeq struct {
	row scanner
	seq *int64
}

// Scan reads the row.
func (w withSeq) Scan(dest ...any) error { return w.row.Scan(append([]any{w.seq}, dest...)...) }

// one reads an entity of a tenant.
func one[T any](row scanner, what string, scan func(scanner) (*T, error)) (*T, error) {
	item, err := scan(row)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, postrider.Errorf(postrider.CodeNotFound, "there is no such %s", what)
	}
	return item, fault("read a "+what, err)
}

// rowOf makes a scanner of a query in the writer's transaction.
func (t *tx) rowOf(query string, args ...any) scanner { return txRow{t, query, args} }

type txRow struct {
	t     *tx
	query string
	args  []any
}

// Scan runs the query and reads its row.
func (r txRow) Scan(dest ...any) error { return r.t.row(r.query, r.args, dest...) }

func checkMatch(what string, match, version uint64) error {
	if match != 0 && match != version {
		return postrider.Errorf(postrider.CodePrecondition, "the %s was changed meanwhile: read it again", what)
	}
	return nil
}

func millis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
