package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"

	_ "modernc.org/sqlite" // the driver, in pure Go
)

// FileName is the name of the file in the data folder.
const FileName = "postrider.db"

const (
	readers = 4
	listers = 2        // readers of their own for lists that may look at much, so that nothing else waits for them
	walKept = 64 << 20 // of the -wal file, which grows over it while somebody reads for long, when it begins anew
	walMost = 8000     // pages, from which on the writer moves them itself: what moves them beside it has not kept up
)

// Options say where the file is, and how it is used.
type Options struct {
	Dir        string // the data folder; created with mode 0700 if it is missing
	Clock      postrider.Clock
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Instance   string        // names this process in the change feed
	QueueLease time.Duration // of what is taken from the queue; 0: 1 minute
}

// DB is the open file. Its engines share one writer and the readers.
type DB struct {
	options Options
	clock   postrider.Clock
	log     *slog.Logger
	unlock  func()
	write   *sql.DB
	read    *sql.DB
	often   *prepared // of read
	lists   *sql.DB
	writer  *writer
	mover   *mover
	chunks  chunks
	damaged prometheus.Counter

	events   *events
	queue    *queue
	payloads *payloads
	database *database
	outcomes *outcomes
	byTarget *byTarget

	closeOnce sync.Once
	closeErr  error
}

// Open opens the file, or makes it. It fails with CodeConflict if another process has it open or if it was written by a
// later version, with CodeForbidden if the folder may not be written, with CodeInternal if the file is damaged, and with
// CodeUnavailable if it is worth trying again, since the disk is full or fails.
func Open(ctx context.Context, o Options) (*DB, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.QueueLease == 0 {
		o.QueueLease = time.Minute
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, folderError("made", err)
	}
	unlock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	db := &DB{options: o, clock: o.Clock, log: o.Logger, unlock: unlock, damaged: newDamaged(o.Registerer)}
	if err := db.open(ctx); err != nil {
		_ = db.Close()
		return nil, unopened(err)
	}
	return db, nil
}

func (db *DB) open(ctx context.Context) error {
	var err error
	path := filepath.Join(db.options.Dir, FileName)
	db.makePrivate(path)
	if db.write, err = openFile(path, writing); err != nil {
		return err
	}
	db.write.SetMaxOpenConns(1)
	if err := migrate(ctx, db.write); err != nil {
		return err
	}
	if db.read, err = openFile(path, reading); err != nil {
		return err
	}
	db.read.SetMaxOpenConns(readers)
	db.read.SetMaxIdleConns(readers)
	db.often = newPrepared(db.read)
	if db.lists, err = openFile(path, reading); err != nil {
		return err
	}
	db.lists.SetMaxOpenConns(listers)
	db.lists.SetMaxIdleConns(listers)
	if db.mover, err = newMover(ctx, path, db.log); err != nil {
		return err
	}
	if db.writer, err = newWriter(ctx, db.write, db.mover, db.options.Registerer); err != nil {
		return err
	}
	return db.openEngines(ctx)
}

// makePrivate makes the file so that its owner alone may read it; SQLite would have the umask decide, and gives the -wal and -shm files the
// mode that this one has. A file that is there is left as it is: others may be meant to read it. What fails here SQLite fails at too, and
// tells better.
func (db *DB) makePrivate(path string) {
	if f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600); err == nil {
		_ = f.Close() // nothing was written
		return
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		db.log.Warn("the data file can be read by other users of this machine, unless its folder keeps them out; chmod 600 ends that",
			"file", path, "mode", fmt.Sprintf("%04o", info.Mode().Perm()))
	}
}

func (db *DB) openEngines(ctx context.Context) error {
	var err error
	if err = db.chunks.open(ctx, db); err != nil {
		return err
	}
	if db.events, err = openEvents(ctx, db); err != nil {
		return err
	}
	if db.queue, err = openQueue(ctx, db); err != nil {
		return err
	}
	db.payloads = &payloads{db: db}
	if db.database, err = openDatabase(ctx, db); err != nil {
		return err
	}
	if db.outcomes, err = openOutcomes(ctx, db); err != nil {
		return err
	}
	return db.outcomes.restore(ctx)
}

// use says what connections are for: the pragmas that the guarantees rest on, and whether they may store into the index of the -wal file.
type use struct {
	pragmas string
	reader  bool
}

// Connections that read must not write, not even as they are opened, as setting auto_vacuum does: see indexVFS.
var (
	writing = use{pragmas: "&_pragma=auto_vacuum(incremental)&_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=cache_size(-16000)" +
		fmt.Sprintf("&_pragma=wal_autocheckpoint(%d)&_pragma=journal_size_limit(%d)", walMost, walKept)}
	moving  = use{pragmas: "&_pragma=synchronous(full)"}
	reading = use{pragmas: "&_pragma=query_only(1)&_pragma=cache_size(-4000)", reader: true}
)

// openFile opens the file for a use.
func openFile(path string, u use) (*sql.DB, error) {
	dsn := "file:" + path + "?_pragma=busy_timeout(10000)&_pragma=temp_store(memory)" + u.pragmas
	if vfs := indexVFS(u.reader); vfs != "" {
		dsn += "&vfs=" + vfs
	}
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fault("open the file", err)
	}
	return db, nil
}

// Events is the engine of the events log.
func (db *DB) Events() postrider.EventLog { return db.events }

// Queue is the engine of the queue.
func (db *DB) Queue() postrider.Queue { return db.queue }

// Payloads is the engine of the payload store.
func (db *DB) Payloads() postrider.PayloadStore { return db.payloads }

// Database is the engine of the database.
func (db *DB) Database() postrider.Database { return db.database }

// Outcomes is the engine of the outcome log: written straight into this database (direct), or as a log that an archiver
// reads.
func (db *DB) Outcomes(direct bool) postrider.OutcomeLog {
	if direct {
		return directOutcomes{db.outcomes}
	}
	return db.outcomes
}

// Close ends the engines and the file. What was handed to the writer is committed first.
func (db *DB) Close() error {
	db.closeOnce.Do(func() { db.closeErr = db.close() })
	return db.closeErr
}

func (db *DB) close() error {
	defer db.unlock()
	if db.events != nil {
		db.events.stop()
	}
	if db.queue != nil {
		db.queue.stop()
	}
	var errs []error
	if db.outcomes != nil {
		errs = append(errs, db.outcomes.stop())
	}
	if db.writer != nil {
		errs = append(errs, db.writer.close())
	}
	if db.mover != nil {
		errs = append(errs, db.mover.close())
	}
	if db.often != nil {
		db.often.close()
	}
	for _, pool := range []*sql.DB{db.read, db.lists} {
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	if db.write != nil {
		errs = append(errs, db.write.Close())
	}
	if db.mover != nil {
		db.mover.closeFile()
	}
	return errors.Join(errs...)
}
