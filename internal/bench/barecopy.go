package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/postrider/postrider/internal/app"
)

// copies are the tables of a bare COPY, and those that its rows come from.
type copies struct {
	pool     *pgxpool.Pool
	from, to string // schemas
}

// startCopies makes the tables, as the servers make theirs.
func (r *run) startCopies(a *apart) (*copies, error) {
	made := *r
	made.Serve = append([]string(nil), r.Serve...)
	for i := range made.Serve {
		if i > 0 && made.Serve[i-1] == "--database" {
			var err error
			if made.Serve[i], err = withSchema(a.database, a.bareSchema()); err != nil {
				return nil, err
			}
		}
	}
	if err := made.withEngines(func(*app.Engines) error { return nil }); err != nil {
		return nil, fmt.Errorf("making the tables of the bare COPY: %w", err)
	}
	pool, err := a.pool(r.ctx)
	return &copies{pool: pool, from: a.schema, to: a.bareSchema()}, err
}

func (c *copies) close() { c.pool.Close() }

// copied are the tables in the order in which the archiver writes them, and their columns of an event's id. Attempts that are not
// in their delivery's row are none here.
var copied = [...][2]string{{"events", "id"}, {"deliveries", "event_id"}}

// rows are what a table's COPY is given.
type rows struct {
	table   pgx.Identifier
	columns []string
	values  [][]any
}

// measure copies the rows of the events between two ids, in so many transactions, and returns the deliveries a second. The rows are
// in memory before: it is only COPY that is measured, the encoding of the values included.
func (c *copies) measure(ctx context.Context, from, below string, transactions int) (float64, error) {
	var all [len(copied)]*rows
	for i, table := range copied {
		var err error
		if all[i], err = c.read(ctx, table[0], table[1], from, below); err != nil {
			return 0, fmt.Errorf("reading the rows of %s: %w", table[0], err)
		}
	}
	begun := time.Now()
	for n := range transactions {
		err := pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
			for _, r := range all {
				if _, err := tx.CopyFrom(ctx, r.table, r.columns, pgx.CopyFromRows(r.part(n, transactions))); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return 0, fmt.Errorf("a bare COPY: %w", err)
		}
	}
	return float64(len(all[len(all)-1].values)) / time.Since(begun).Seconds(), nil
}

// part is the nth of some parts of about the same size.
func (r *rows) part(n, of int) [][]any { return r.values[len(r.values)*n/of : len(r.values)*(n+1)/of] }

// read reads rows in the order in which they were written.
func (c *copies) read(ctx context.Context, table, id, from, below string) (*rows, error) {
	list, err := c.pool.Query(ctx, fmt.Sprintf("SELECT * FROM %s WHERE %s >= $1 AND %s < $2", pgx.Identifier{c.from, table}.Sanitize(), id, id), from, below)
	if err != nil {
		return nil, err
	}
	r := &rows{table: pgx.Identifier{c.to, table}}
	for _, column := range list.FieldDescriptions() {
		r.columns = append(r.columns, column.Name)
	}
	r.values, err = pgx.CollectRows(list, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
	return r, err
}

// size is what a table of the archiver takes, with its indexes, in bytes.
func (c *copies) size(ctx context.Context, table string) (float64, error) {
	var n int64
	err := c.pool.QueryRow(ctx, "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree($1::text::regclass)", pgx.Identifier{c.from, table}.Sanitize()).Scan(&n)
	return float64(n), err
}
