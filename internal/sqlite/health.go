package sqlite

import (
	"context"
	"time"

	"github.com/postrider/postrider"
)

// stuckAfter is how long a group may run before the disk is taken for one that does not answer.
const stuckAfter = 5 * time.Second

var (
	_ postrider.Checker = (*events)(nil)
	_ postrider.Checker = (*queue)(nil)
	_ postrider.Checker = (*payloads)(nil)
	_ postrider.Checker = (*outcomes)(nil)
	_ postrider.Checker = (*database)(nil)
)

// Check reports whether the file takes writes; see postrider.Checker.
func (e *events) Check(ctx context.Context) error { return e.db.check(ctx) }

// Check reports whether the file takes writes; see postrider.Checker.
func (q *queue) Check(ctx context.Context) error { return q.db.check(ctx) }

// Check reports whether the file takes writes; see postrider.Checker.
func (p *payloads) Check(ctx context.Context) error { return p.db.check(ctx) }

// Check reports whether the file takes writes; see postrider.Checker.
func (o *outcomes) Check(ctx context.Context) error { return o.db.check(ctx) }

// Check reports whether the file takes writes; see postrider.Checker.
func (d *database) Check(ctx context.Context) error { return d.db.check(ctx) }

// check tells of the last write, and writes a little only if that failed: else nobody would, once intake is sent elsewhere.
func (db *DB) check(ctx context.Context) error {
	if err := db.writer.stuck(); err != nil {
		return err
	}
	db.writer.mu.Lock()
	failure := db.writer.failure
	db.writer.mu.Unlock()
	if failure == nil {
		return nil
	}
	commit, err := db.writer.add(ctx, 0, func(t *tx) error {
		return t.exec("INSERT INTO meta (name, value) VALUES ('checked', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", db.clock().UnixMilli())
	}, nil)
	if err != nil {
		return err
	}
	return commit.Wait(ctx)
}

// stuck is what to answer while a group waits for the disk for long, else nil.
func (w *writer) stuck() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.began.IsZero() || time.Since(w.began) < stuckAfter {
		return nil
	}
	return &postrider.Error{Code: postrider.CodeUnavailable, Message: "the data file can't be used: the disk does not answer", RetryAfter: time.Second}
}
