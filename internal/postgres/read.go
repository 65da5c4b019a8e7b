package postgres

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider/postrider"
)

// querier is the pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// one reads an entity of a tenant.
func one[T any](row pgx.Row, what string, scan func(pgx.Row) (*T, error)) (*T, error) {
	item, err := scan(row)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, postrider.Errorf(postrider.CodeNotFound, "there is no such %s", what)
	}
	return item, err
}

// get reads an entity of a tenant outside of a change.
func get[T any](ctx context.Context, d *Database, what, query, tenant string, id int64, scan func(pgx.Row) (*T, error)) (*T, error) {
	defer d.metrics.time("get")()
	ctx, cancel := bounded(ctx, callTime)
	defer cancel()
	item, err := one(d.pool.QueryRow(ctx, query, id, tenant), what, scan)
	return item, fault(ctx, "read a "+what, err)
}

// each calls f for every row.
func each(rows pgx.Rows, err error, f func(pgx.Row) error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// listOf pages through a table, one more row than is wanted, to tell whether there is a next page.
func listOf[T any](ctx context.Context, d *Database, table, columns, tenant string, p postrider.Page, scan func(pgx.Row) (*T, error)) ([]*T, string, error) {
	after, limit, err := page(p)
	if err != nil {
		return nil, "", err
	}
	defer d.metrics.time("list")()
	ctx, cancel := bounded(ctx, callTime)
	defer cancel()
	var items []*T
	var next string
	var last int64
	rows, err := d.pool.Query(ctx, "SELECT seq, "+columns+" FROM "+table+" WHERE tenant = $1 AND seq > $2 ORDER BY seq LIMIT $3", tenant, after, limit+1)
	err = each(rows, err, func(row pgx.Row) error {
		if len(items) == limit {
			next = cursor(last)
			return nil
		}
		item, err := scan(withSeq{row, &last})
		items = append(items, item)
		return err
	})
	return items, next, fault(ctx, "list "+table, err)
}

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

// withSeq reads the sequence number before the columns.
type withSeq struct {
	row pgx.Row
	seq *int64
}

// Scan reads the row.
func (w withSeq) Scan(dest ...any) error { return w.row.Scan(append([]any{w.seq}, dest...)...) }

// when is a time as a column holds it: null for none.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// noNUL refuses the one character that text cannot hold here.
func noNUL(field, s string) error {
	if strings.ContainsRune(s, 0) {
		return postrider.Invalid(field, "must not have the character U+0000")
	}
	return nil
}

// text is s as a column can hold it.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
