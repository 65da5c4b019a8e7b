package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	driver "modernc.org/sqlite"
)

const (
	walPages = 2000 // written, after which they are moved
	restMost = 200  // written meanwhile, that the writer is left with
	passes   = 3    // in a row at most, to come to so few
)

// mover moves what the -wal file holds into the data file (a checkpoint), on a connection of its own beside the writer. SQLite would have
// the writer do it, within the commit that made the -wal file long; and whoever waits for that commit would wait for a few thousand pages
// and their sync.
//
// What is written meanwhile is left over; only when nothing is left does SQLite sync the data file, and begin the -wal file anew. So the
// mover syncs what it has moved, and then the writer itself moves the rest, which is little, after the group that it writes then.
type mover struct {
	db      *sql.DB
	conn    *sql.Conn
	file    *os.File // to sync by. Closing it drops all locks that this process has on the file (POSIX): it is the last to be closed
	log     *slog.Logger
	pages   atomic.Int64 // written since the last pass began
	rest    atomic.Bool  // there is a rest for the writer
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
		_ = db.Close()
		return nil, fault("open the file", err)
	}
	file, err := os.Open(path)
	if err != nil {
		_ = conn.Close()
		_ = db.Close()
		return nil, fault("open the file", err)
	}
	m := &mover{db: db, conn: conn, file: file, log: log, wake: make(chan struct{}, 1), stopped: make(chan struct{})}
	m.close = sync.OnceValue(m.end)
	go m.run() //nolint:contextcheck // it ends with close
	return m, nil
}

// wrote is called by the writer after each group, with its connection.
func (m *mover) wrote(writer *sql.Conn) {
	pages := m.pages.Add(written(writer))
	if m.rest.CompareAndSwap(true, false) {
		_ = pass(writer)
	}
	if pages >= walPages {
		select {
		case m.wake <- struct{}{}:
		default:
		}
	}
}

// written is how many pages a connection has written since it was asked last.
func written(conn *sql.Conn) int64 {
	n := 0
	_ = conn.Raw(func(c any) (err error) {
		n, _, err = c.(driver.DBStatus).Status(driver.DBStatusCacheWrite, true)
		return err
	})
	return int64(n)
}

func (m *mover) run() {
	defer close(m.stopped)
	for range m.wake {
		if m.rest.Load() || m.pages.Load() < walPages { // it was woken while it moved them
			continue
		}
		if err := m.move(); err != nil {
			m.log.Debug("what the -wal file holds was not moved; it grows until it is", "error", err)
			continue
		}
		m.rest.Store(true)
	}
}

func (m *mover) move() error {
	for range passes {
		m.pages.Store(0)
		if err := errors.Join(pass(m.conn), m.file.Sync()); err != nil {
			return err
		}
		if m.pages.Load() <= restMost {
			break
		}
	}
	return nil
}

// pass moves what nobody reads any more. It waits for nobody.
func pass(conn *sql.Conn) error {
	_, err := conn.ExecContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)")
	return err
}

func (m *mover) end() error {
	close(m.wake)
	<-m.stopped
	_ = m.conn.Close()
	return m.db.Close()
}

// closeFile is called once nobody has the data file open.
func (m *mover) closeFile() { m.file.Close() }
