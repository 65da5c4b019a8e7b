package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
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

// measure copies the rows of the events between two ids, in so many transactions, and returns the deliveries a second. The rows are
// in memory before, as the server wants them: it is only COPY that is measured.
func (c *copies) measure(ctx context.Context, from, below string, transactions int) (float64, error) {
	var parts [len(copied)][][]byte
	rows := 0
	for i, table := range copied {
		all, err := c.read(ctx, table[0], table[1], from, below)
		if err != nil {
			return 0, fmt.Errorf("reading the rows of %s: %w", table[0], err)
		}
		if parts[i], rows, err = divide(all, transactions); err != nil {
			return 0, fmt.Errorf("reading the rows of %s: %w", table[0], err)
		}
	}
	begun := time.Now()
	for n := range transactions {
		err := pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
			for i, table := range copied {
				_, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(parts[i][n]), "COPY "+name(c.to, table[0])+" FROM STDIN (FORMAT binary)")
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return 0, fmt.Errorf("a bare COPY: %w", err)
		}
	}
	return float64(rows) / time.Since(begun).Seconds(), nil
}

func name(schema, table string) string { return pgx.Identifier{schema, table}.Sanitize() }

// read reads rows as COPY writes them.
func (c *copies) read(ctx context.Context, table, id, from, below string) ([]byte, error) {
	var out bytes.Buffer
	err := c.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		_, err := conn.Conn().PgConn().CopyTo(ctx, &out, fmt.Sprintf("COPY (SELECT * FROM %s WHERE %s >= '%s' AND %s < '%s') TO STDOUT (FORMAT binary)",
			name(c.from, table), id, from, id, below))
		return err
	})
	return out.Bytes(), err
}

// size is what a table of the archiver takes, with its indexes, in bytes.
func (c *copies) size(ctx context.Context, table string) (float64, error) {
	var n int64
	err := c.pool.QueryRow(ctx, "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree($1::text::regclass)", name(c.from, table)).Scan(&n)
	return float64(n), err
}

// COPY's binary format: a head of 19 bytes with the length of an extension at its end, then for each row the number of its fields and
// each field behind its length (-1: null), then -1.
const copyHead = 19

var errCopy = errors.New("it is not COPY's binary format")

// divide cuts what COPY wrote into parts of as many rows, each as COPY reads it, and counts the rows.
func divide(all []byte, parts int) (list [][]byte, rows int, err error) {
	starts, err := rowStarts(all)
	if err != nil {
		return nil, 0, err
	}
	rows = len(starts) - 1
	for i := range parts {
		from, to := starts[rows*i/parts], starts[rows*(i+1)/parts]
		part := append([]byte(nil), all[:starts[0]]...)
		part = append(part, all[from:to]...)
		list = append(list, append(part, 0xff, 0xff))
	}
	return list, rows, nil
}

// rowStarts lists where the rows begin, and at last where they end.
func rowStarts(all []byte) (starts []int, err error) {
	if len(all) < copyHead {
		return nil, errCopy
	}
	at := copyHead + int(binary.BigEndian.Uint32(all[copyHead-4:]))
	for at+2 <= len(all) {
		starts = append(starts, at)
		fields := int16(binary.BigEndian.Uint16(all[at:]))
		if at += 2; fields < 0 {
			return starts, nil
		}
		for range fields {
			if at+4 > len(all) {
				return nil, errCopy
			}
			at += 4 + max(0, int(int32(binary.BigEndian.Uint32(all[at:]))))
		}
	}
	return nil, errCopy
}
