package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/postrider/postrider"
)

// payloads is a postrider.PayloadStore.
type payloads struct{ db *DB }

var _ postrider.PayloadStore = (*payloads)(nil)

const expireStep = 200 // rows a group

// Put stores a payload; see postrider.PayloadStore. Putting a key again renews its age.
func (p *payloads) Put(ctx context.Context, key string, payload []byte) error {
	if err := postrider.CheckPayloadKey(key); err != nil {
		return err
	}
	renewed, err := p.renew(ctx, key)
	if err != nil || renewed {
		return err
	}
	var blob int64
	inline := payload
	if len(payload) > inRow {
		if blob, err = p.db.chunks.write(ctx, payload); err != nil {
			return err
		}
		inline = nil
	}
	now, crc := p.db.clock().UnixMilli(), checksum(payload)
	err = p.db.writer.do(ctx, func(t *tx) error {
		n, err := t.execCount(`INSERT INTO payloads (key, put_at, size, blob, bytes, crc) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (key) DO NOTHING`, key, now, len(payload), blob, inline, crc)
		if err == nil && n == 0 { // another put of the same key was faster
			return t.removeChunks(blob)
		}
		if err != nil {
			return err
		}
		return t.keepChunks(blob)
	})
	if err != nil {
		p.db.chunks.abandon(blob)
	}
	return err
}

func (p *payloads) renew(ctx context.Context, key string) (bool, error) {
	var there int
	err := p.db.read.QueryRowContext(ctx, "SELECT 1 FROM payloads WHERE key = ?", key).Scan(&there)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fault("read a payload", err)
	}
	var n int64
	now := p.db.clock().UnixMilli()
	err = p.db.writer.do(ctx, func(t *tx) (err error) {
		n, err = t.execCount("UPDATE payloads SET put_at = ? WHERE key = ?", now, key)
		return err
	})
	return n > 0, err
}

// Get returns a payload; see postrider.PayloadStore.
func (p *payloads) Get(ctx context.Context, key string) ([]byte, error) {
	var size, blob int64
	var bytes []byte
	var crc sql.NullInt64
	err := p.db.read.QueryRowContext(ctx, "SELECT size, blob, bytes, crc FROM payloads WHERE key = ?", key).Scan(&size, &blob, &bytes, &crc)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, postrider.Errorf(postrider.CodeNotFound, "there is no payload %s", key)
	case err != nil:
		return nil, fault("read a payload", err)
	case blob != 0:
		if bytes, err = p.db.chunks.read(ctx, blob, size); err != nil {
			return nil, err
		}
	case bytes == nil:
		bytes = []byte{}
	}
	if !intact(bytes, crc) {
		return nil, p.db.damagedPayload("the key", key)
	}
	return bytes, nil
}

// Expire removes old payloads, some in a group; see postrider.PayloadStore.
func (p *payloads) Expire(ctx context.Context, before time.Time) (int, error) {
	removed := 0
	for {
		n := 0
		err := p.db.writer.do(ctx, func(t *tx) (err error) {
			n, err = p.expireSome(t, before.UnixMilli())
			return err
		})
		removed += n
		if err != nil || n == 0 {
			return removed, err
		}
	}
}

func (p *payloads) expireSome(t *tx, before int64) (int, error) {
	keys, blobs := []string{}, []int64{}
	err := t.query("SELECT key, blob FROM payloads WHERE put_at < ? LIMIT ?", []any{before, expireStep}, func(rows *sql.Rows) error {
		var key string
		var blob int64
		if err := rows.Scan(&key, &blob); err != nil {
			return err
		}
		keys, blobs = append(keys, key), append(blobs, blob)
		return nil
	})
	if err != nil {
		return 0, err
	}
	for i, key := range keys {
		if err := t.removeChunks(blobs[i]); err != nil {
			return 0, err
		}
		if err := t.exec("DELETE FROM payloads WHERE key = ?", key); err != nil {
			return 0, err
		}
	}
	return len(keys), nil
}

// Close does nothing: the file is the DB's.
func (p *payloads) Close() error { return nil }
