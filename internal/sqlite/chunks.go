package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/postrider/postrider"
)

const (
	inRow      = 64 << 10  // a payload up to this stands in its row
	chunkBytes = 256 << 10 // of a larger one
	chunkShift = 16
	inFlight   = groupBytes / chunkBytes
	orphanStep = 8 // blobs removed in a group
)

// chunks writes and reads payloads that are too large for a row. A payload in chunks is an upload until the row that
// refers to it is written: the table uploads names it from its first chunk on, and the transaction of the row removes that
// name. What is named there when the file is opened, and nothing else, is the rest of an upload that a crash ended.
type chunks struct {
	db   *DB
	last atomic.Int64 // blob number

	mu      sync.Mutex
	orphans []int64 // uploads given up, to be removed by the next group that succeeds
}

// upload is a payload that is being written. Its pieces are cut when they are written, so that one which is given up is kept by
// nothing that still waits.
type upload struct {
	blob    int64
	payload atomic.Pointer[[]byte] // nil: given up, and chunks that still wait are not written
}

// piece is the n-th one, nil if the upload was given up.
func (u *upload) piece(n int64) []byte {
	payload := u.payload.Load()
	if payload == nil {
		return nil
	}
	return (*payload)[n*chunkBytes : min((n+1)*chunkBytes, int64(len(*payload)))]
}

// open removes the rests of uploads.
func (c *chunks) open(ctx context.Context, db *DB) error {
	c.db = db
	var last int64
	const newest = "SELECT max((SELECT coalesce(max(id) >> 16, 0) FROM chunks), (SELECT coalesce(max(blob), 0) FROM uploads))"
	if err := db.read.QueryRowContext(ctx, newest).Scan(&last); err != nil {
		return fault("read chunks", err)
	}
	c.last.Store(last)
	rows, err := db.read.QueryContext(ctx, "SELECT blob FROM uploads")
	if err != nil {
		return fault("read uploads", err)
	}
	err = each(rows, func(rows *sql.Rows) error {
		var blob int64
		err := rows.Scan(&blob)
		c.orphans = append(c.orphans, blob)
		return err
	})
	if err != nil {
		return fault("read uploads", err)
	}
	db.writer.always = append(db.writer.always, c.removeOrphans)
	for range (len(c.orphans) + orphanStep - 1) / orphanStep {
		if err := db.writer.do(ctx, func(*tx) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

// write stores a payload in pieces, a few in a group at a time, and returns its number. The row that refers to it calls
// tx.keepChunks; if there will be none, abandon gives the space back.
func (c *chunks) write(ctx context.Context, payload []byte) (int64, error) {
	u := &upload{blob: c.last.Add(1)}
	u.payload.Store(&payload)
	if err := c.writeAll(ctx, u, len(payload)); err != nil {
		u.payload.Store(nil)
		c.abandon(u.blob)
		return 0, err
	}
	return u.blob, nil
}

func (c *chunks) writeAll(ctx context.Context, u *upload, size int) error {
	var window []*postrider.Commit
	for n := 0; n*chunkBytes < size; n++ {
		if len(window) == inFlight {
			if err := window[0].Wait(ctx); err != nil {
				return err
			}
			window = window[1:]
		}
		commit, err := c.db.writer.add(ctx, min(chunkBytes, size-n*chunkBytes), func(t *tx) error { return t.insertChunk(u, int64(n)) }, nil)
		if err != nil {
			return err
		}
		window = append(window, commit)
	}
	for _, commit := range window {
		if err := commit.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) insertChunk(u *upload, n int64) error {
	piece := u.piece(n)
	if piece == nil {
		return nil
	}
	if n == 0 {
		if err := t.exec("INSERT INTO uploads (blob) VALUES (?)", u.blob); err != nil {
			return err
		}
	}
	return t.exec("INSERT INTO chunks (id, bytes) VALUES (?, ?)", u.blob<<chunkShift|n, piece)
}

// keepChunks ends an upload, in the transaction of the row that refers to it.
func (t *tx) keepChunks(blob int64) error {
	if blob == 0 {
		return nil
	}
	return t.exec("DELETE FROM uploads WHERE blob = ?", blob)
}

// abandon has uploads removed to which no row will refer. It does not block.
func (c *chunks) abandon(blobs ...int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, blob := range blobs {
		if blob != 0 {
			c.orphans = append(c.orphans, blob)
		}
	}
}

// removeOrphans is run in every group: a group that fails, for want of space perhaps, leaves them to the next.
func (c *chunks) removeOrphans(t *tx) error {
	c.mu.Lock()
	blobs := slices.Clone(c.orphans[:min(orphanStep, len(c.orphans))])
	c.mu.Unlock()
	if len(blobs) == 0 {
		return nil
	}
	for _, blob := range blobs {
		if err := t.removeChunks(blob); err != nil {
			return err
		}
	}
	t.onCommit(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.orphans = c.orphans[len(blobs):]
	})
	return nil
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

// removeChunks deletes a payload's pieces, and its upload if it is one.
func (t *tx) removeChunks(blob int64) error {
	if blob == 0 {
		return nil
	}
	if err := t.keepChunks(blob); err != nil {
		return err
	}
	return t.exec("DELETE FROM chunks WHERE id >= ? AND id < ?", blob<<chunkShift, (blob+1)<<chunkShift)
}
