package postgres

import (
	"context"
	"crypto/rand"
	"encoding/binary"

	"github.com/jackc/pgx/v5"

	"github.com/postrider/postrider"
)

const (
	changesKept  = 100_000 // then the oldest go, and a reader that is further behind loads anew
	changeTries  = 3       // of a transaction that the server ended for the sake of another
	changesTrims = 1000    // once in so many versions
)

// changing is the transaction of a change. It holds the feed's lock, so no other change runs meanwhile and what it reads is
// the last there is. What it writes is gathered and sent at its end.
type changing struct {
	tx      pgx.Tx
	d       *Database
	version uint64 // the last that was taken
	taken   bool
	writes  pgx.Batch
}

// change runs f in a transaction under the feed's lock. f may be called again.
func (d *Database) change(ctx context.Context, doing string, f func(context.Context, *changing) error) error {
	defer d.metrics.time("change")()
	ctx, cancel := bounded(ctx, callTime)
	defer cancel()
	var err error
	for range changeTries {
		err = pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
			c := &changing{tx: tx, d: d}
			if err := tx.QueryRow(ctx, "SELECT version FROM feed FOR UPDATE").Scan(&c.version); err != nil {
				return err
			}
			if err := f(ctx, c); err != nil {
				return err
			}
			return c.send(ctx)
		})
		if state := stateOf(err); state != "40001" && state != "40P01" {
			break
		}
	}
	return fault(ctx, doing, err)
}

// record enters a change into the feed and returns its version.
func (c *changing) record(kind postrider.Kind, tenant string, id int64) uint64 {
	c.version++
	c.taken = true
	c.writes.Queue("INSERT INTO changes (version, kind, id, tenant, by, at) VALUES ($1, $2, $3, $4, $5, $6)",
		c.version, int16(kind), id, tenant, c.d.options.Instance, c.d.clock())
	if c.version%changesTrims == 0 {
		c.writes.Queue("DELETE FROM changes WHERE version <= $1", int64(c.version)-changesKept)
	}
	return c.version
}

// send writes what was gathered. The notification goes out with the commit.
func (c *changing) send(ctx context.Context) error {
	if c.taken {
		c.writes.Queue("UPDATE feed SET version = $1", c.version)
		c.writes.Queue("SELECT pg_notify($1, '')", c.d.channel)
	}
	if c.writes.Len() == 0 {
		return nil
	}
	return c.tx.SendBatch(ctx, &c.writes).Close()
}

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

func checkMatch(what string, match, version uint64) error {
	if match != 0 && match != version {
		return postrider.Errorf(postrider.CodePrecondition, "the %s was changed meanwhile: read it again", what)
	}
	return nil
}
