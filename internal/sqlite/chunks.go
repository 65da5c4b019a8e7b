package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"sync/atomic"

	"github.com/postrider/postrider"
)

const (
	inRow      = 64 << 10  // a payload up to this stands in its row
	chunkBytes = 256 << 10 // of a larger one
	chunkShift = 16
	inFlight   = groupBytes / chunkBytes
)

// chunks writes and reads payloads that are too large for a row.
type chunks struct {
	db   *DB
	last atomic.Int64 // blob number
}

// open removes pieces that no row refers to: a crash came before the row.
func (c *chunks) open(ctx context.Context, db *DB) error {
	c.db = db
	var last int64
	if err := db.read.QueryRowContext(ctx, "SELECT coalesce(max(id) >> 16, 0) FROM chunks").Scan(&last); err != nil {
		return fault("read chunks", err)
	}
	c.last.Store(last)
	var used int64
	err := db.read.QueryRowContext(ctx,
		"SELECT max((SELECT coalesce(max(blob), 0) FROM (SELECT blob FROM events ORDER BY position DESC LIMIT 1000)), (SELECT coalesce(max(blob), 0) FROM payloads))").Scan(&used)
	if err != nil {
		return fault("read chunks", err)
	}
	if last <= used {
		return nil
	}
	return db.writer.do(ctx, func(t *tx) error { return t.exec("DELETE FROM chunks WHERE id >= ?", (used+1)<<chunkShift) })
}

// write stores a payload in pieces, a few in a group at a time, and returns its number.
func (c *chunks) write(ctx context.Context, payload []byte) (int64, error) {
	blob := c.last.Add(1)
	var window []*postrider.Commit
	for n := 0; n*chunkBytes < len(payload); n++ {
		if len(window) == inFlight {
			if err := window[0].Wait(ctx); err != nil {
				return 0, err
			}
			window = window[1:]
		}
		piece := payload[n*chunkBytes : min((n+1)*chunkBytes, len(payload))]
		id := blob<<chunkShift | int64(n)
		commit, err := c.db.writer.add(ctx, len(piece), func(t *tx) error {
			return t.exec("INSERT INTO chunks (id, bytes) VALUES (?, ?)", id, piece)
		}, nil)
		if err != nil {
			return 0, err
		}
		window = append(window, commit)
	}
	for _, commit := range window {
		if err := commit.Wait(ctx); err != nil {
			return 0, err
		}
	}
	return blob, nil
}

// read returns a payload of a size, or CodeNotFound if pieces are missing.
func (c *chunks) read(ctx context.Context, blob, size int64) ([]byte, error) {
	rows, err := c.db.read.QueryContext(ctx, "SELECT bytes FROM chunks WHERE id >= ? AND id < ? ORDER BY id", blob<<chunkShift, (blob+1)<<chunkShift)
	if err != nil {
		return nil, fault("read chunks", err)
	}
	buf := bytes.NewBuffer(make([]byte, 0, size))
	err = each(rows, func(rows *sql.Rows) error {
		var piece sql.RawBytes
		if err := rows.Scan(&piece); err != nil {
			return err
		}
		buf.Write(piece)
		return nil
	})
	if err != nil {
		return nil, fault("read chunks", err)
	}
	if int64(buf.Len()) != size {
		return nil, postrider.Errorf(postrider.CodeNotFound, "the payload is incomplete: %d of %d bytes", buf.Len(), size)
	}
	return buf.Bytes(), nil
}

// remove deletes a payload's pieces.
func (t *tx) removeChunks(blob int64) error {
	if blob == 0 {
		return nil
	}
	return t.exec("DELETE FROM chunks WHERE id >= ? AND id < ?", blob<<chunkShift, (blob+1)<<chunkShift)
}
