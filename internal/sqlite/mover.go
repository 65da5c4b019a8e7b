package sqlite

import (
	"context"
	"database/sql"
	"log/slog"
	"sync"
	"sync/atomic"

	driver "modernc.org/sqlite"
)

const (
	walPages = 2000 // that were written since the -wal file began, after which they are moved
	restMost = 200  // pages that the writer is left with
	passes   = 4    // in a row, to come to so few
)

// mover moves what the -wal file holds into the data file (a checkpoint), on a connection of its own beside the writer. SQLite would have
// the writer do it, within the commit that made the -wal file long; and whoever waits for that commit would wait for a few thousand pages
// and their sync.
//
// What is written meanwhile is left over, and only when nothing is left is the -wal file begun anew. So the writer itself moves the
// rest, which is little, after the group that it writes then.
type mover struct {
	db      *sql.DB
	conn    *sql.Conn
	log     *slog.Logger
	pages   int         // written since the last start; the writer's
	rest    atomic.Bool // there is a rest for the writer
	wake    chan struct{}
	close   func() error
	stopped chan struct{}
}

func newMover(ctx context.Context, path string, log *slog.Logger) (*mover, error) {
	db, err := openFile(path, moving)
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		db.Close()
		return nil, fault("open the file", err)
	}
	m := &mover{db: db, conn: conn, log: log, wake: make(chan struct{}, 1), stopped: make(chan struct{})}
	m.close = sync.OnceValue(m.end)
	go m.run()
	return m, nil
}

// wrote is called by the writer after each group, with its connection.
func (m *mover) wrote(writer *sql.Conn) {
	m.pages += written(writer)
	if m.rest.CompareAndSwap(true, false) {
		_, _ = pass(writer)
	}
	if m.pages >= walPages {
		m.pages = 0
		select {
		case m.wake <- struct{}{}:
		default:
		}
	}
}

// written is how many pages a connection has written since it was asked last.
func written(conn *sql.Conn) (n int) {
	_ = conn.Raw(func(c any) (err error) {
		n, _, err = c.(driver.DBStatus).Status(driver.DBStatusCacheWrite, true)
		return err
	})
	return n
}

func (m *mover) run() {
	defer close(m.stopped)
	for range m.wake {
		left, err := pass(m.conn)
		for n := 1; n < passes && left > restMost && err == nil; n++ {
			left, err = pass(m.conn)
		}
		if err != nil {
			m.log.Debug("what the -wal file holds was not moved; it grows until it is", "error", err)
			continue
		}
		m.rest.Store(true)
	}
}

// pass moves what nobody reads any more, and returns how many pages are left. It waits for nobody.
func pass(conn *sql.Conn) (left int, err error) {
	var busy, all, moved int
	err = conn.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &all, &moved)
	return all - moved, err
}

func (m *mover) end() error {
	close(m.wake)
	<-m.stopped
	_ = m.conn.Close()
	return m.db.Close()
}
