package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
)

const (
	groupBytes   = 1 << 20 // a group is closed to more once it has this much
	groupOps     = 4096
	groupsQueued = 16 // then writers wait
	lazyFor      = 5 * time.Millisecond
	doubt        = time.Minute
)

// writer is the one goroutine that writes. It runs groups of operations, a transaction each.
//
// A transaction costs far more than what is written in it: pages, a sync. So what nobody waits for, as outcomes and what is put into the
// queue and settled, has no transaction of its own for lazyFor: it goes with what somebody waits for, as an event's publisher does.
type writer struct {
	conn    *sql.Conn
	tx      *tx
	mover   *mover
	metrics *writerMetrics
	failed  atomic.Pointer[time.Time] // when a group was not committed the last time; nil: never

	mu      sync.Mutex
	room    sync.Cond // signalled when a group was taken
	wake    chan struct{}
	timer   *time.Timer // wakes when a lazy group is due
	groups  []*group    // the last one is open
	began   time.Time   // when the group that runs began; zero: none runs
	failure error       // of the last group
	closed  bool
	stopped chan struct{}
	always  []func(*tx) error // run in every group: what is written lazily
}

// group is what is written in one transaction.
type group struct {
	ops      []operation
	bytes    int
	due      time.Time // when it runs at the latest; zero: at once
	commit   *postrider.Commit
	complete func(error)
}

func (g *group) full() bool { return g.bytes >= groupBytes || len(g.ops) >= groupOps }

type operation struct {
	run    func(*tx) error
	failed func() // called if the group is not committed; may be nil
}

// tx is the transaction of a group, for its operations.
type tx struct {
	ctx   context.Context
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	after []func() // to be called once the group is durable, before its Commit is completed

	stored []targeted // deliveries that the group stores
}

func newWriter(ctx context.Context, db *sql.DB, m *mover, r prometheus.Registerer) (*writer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fault("open the file", err)
	}
	w := &writer{conn: conn, mover: m, metrics: newWriterMetrics(r), wake: make(chan struct{}, 1), stopped: make(chan struct{})}
	w.room.L = &w.mu
	w.timer = time.AfterFunc(time.Hour, w.signal)
	w.timer.Stop()
	w.tx = &tx{ctx: context.WithoutCancel(ctx), conn: conn, stmts: map[string]*sql.Stmt{}}
	go w.loop() //nolint:contextcheck // it ends with close
	return w, nil
}

// add puts an operation into the next group and returns the group's Commit. It blocks while too many groups wait. An
// operation must not fail for what is in it, since its group fails with it; see do for one that may.
func (w *writer) add(ctx context.Context, bytes int, run func(*tx) error, failed func()) (*postrider.Commit, error) {
	return w.join(ctx, bytes, operation{run, failed}, time.Time{})
}

// addLazily is add for what nobody waits for.
func (w *writer) addLazily(ctx context.Context, bytes int, run func(*tx) error, failed func()) (*postrider.Commit, error) {
	return w.join(ctx, bytes, operation{run, failed}, time.Now().Add(lazyFor))
}

// join puts an operation into the last group, or a new one, which runs when it is due.
func (w *writer) join(ctx context.Context, bytes int, op operation, due time.Time) (*postrider.Commit, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.waitForRoom(ctx); err != nil {
		return nil, err
	}
	var g *group
	if n := len(w.groups); n > 0 && !w.groups[n-1].full() {
		g = w.groups[n-1]
	} else {
		g = &group{due: due}
		g.commit, g.complete = postrider.NewCommit()
		w.groups = append(w.groups, g)
		if !due.IsZero() {
			w.timer.Reset(lazyFor)
		}
	}
	g.ops = append(g.ops, op)
	g.bytes += bytes
	if due.IsZero() || g.full() {
		g.due = time.Time{}
		w.signal()
	}
	return g.commit, nil
}

func (w *writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// waitForRoom blocks, holding the lock on return, until a group may be added or joined.
func (w *writer) waitForRoom(ctx context.Context) error {
	if len(w.groups) < groupsQueued && !w.closed {
		return nil
	}
	stop := context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.room.Broadcast()
	})
	defer stop()
	for len(w.groups) >= groupsQueued && !w.closed && ctx.Err() == nil {
		w.room.Wait()
	}
	if w.closed {
		return postrider.Errorf(postrider.CodeUnavailable, "the data file is closed")
	}
	return context.Cause(ctx)
}

// do runs an operation that may fail, and waits until it is durable; ctx ends the wait for room only, since run may use
// what is the caller's until it has ended. Its error, of which the others of its group know nothing, is returned; what it
// wrote is undone then.
func (w *writer) do(ctx context.Context, run func(*tx) error) error {
	if err := w.stuck(); err != nil { // who waits can't leave
		return err
	}
	var fail error
	commit, err := w.add(ctx, 0, func(t *tx) error {
		if err := t.exec("SAVEPOINT op"); err != nil {
			return err
		}
		after, stored := len(t.after), len(t.stored)
		if fail = run(t); fail == nil {
			return t.exec("RELEASE op")
		}
		t.after, t.stored = t.after[:after], t.stored[:stored]
		if err := t.exec("ROLLBACK TO op"); err != nil {
			return errors.Join(fail, err)
		}
		return t.exec("RELEASE op")
	}, nil)
	if err != nil {
		return err
	}
	if err := commit.Wait(context.WithoutCancel(ctx)); err != nil { // run may use what is the caller's until it has ended
		return err
	}
	return fault("write", fail)
}

func (w *writer) loop() {
	defer close(w.stopped)
	for range w.wake {
		for {
			g, open := w.next()
			if g != nil {
				w.run(g)
				continue
			}
			if !open {
				return
			}
			break
		}
	}
}

// next takes the next group, if one is due; it reports whether more may come.
func (w *writer) next() (g *group, open bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.groups) == 0 || w.groups[0].due.After(time.Now()) && !w.closed {
		return nil, !w.closed
	}
	g = w.groups[0]
	w.groups = w.groups[1:]
	w.room.Broadcast()
	return g, !w.closed
}

// run commits a group, or undoes it whole and tells everybody.
func (w *writer) run(g *group) {
	start := time.Now()
	w.note(start, nil)
	w.tx.after, w.tx.stored = w.tx.after[:0], w.tx.stored[:0]
	err := w.transact(g)
	w.note(time.Time{}, err)
	w.metrics.seconds.Observe(time.Since(start).Seconds())
	w.metrics.ops.Observe(float64(len(g.ops)))
	if err != nil {
		now := time.Now()
		w.failed.Store(&now)
		w.metrics.failures.Inc()
		if rollback := w.tx.exec("ROLLBACK"); rollback != nil {
			err = errors.Join(err, rollback) // where COMMIT itself rolled back there is nothing left to undo
		}
		for _, op := range g.ops {
			if op.failed != nil {
				op.failed()
			}
		}
		g.complete(fault("commit", err))
		return
	}
	for _, f := range w.tx.after {
		f()
	}
	g.complete(nil)
	w.mover.wrote(w.conn)
}

// note keeps what check tells of.
func (w *writer) note(began time.Time, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.began = began; began.IsZero() {
		w.failure = err
	}
}

// doubtful reports whether a group may well not be committed: the disk failed not long ago.
func (w *writer) doubtful() bool {
	at := w.failed.Load()
	return at != nil && time.Since(*at) < doubt
}

func (w *writer) transact(g *group) error {
	if err := w.tx.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, op := range g.ops {
		if err := op.run(w.tx); err != nil {
			return err
		}
	}
	for _, f := range w.always {
		if err := f(w.tx); err != nil {
			return err
		}
	}
	return w.tx.exec("COMMIT")
}

// nudge makes a group that has no operation of its own, so that what is written lazily is written.
func (w *writer) nudge() {
	w.mu.Lock()
	full := len(w.groups) > 0 || w.closed // a group is coming anyway
	w.mu.Unlock()
	if !full {
		_, _ = w.add(context.Background(), 0, func(*tx) error { return nil }, nil)
	}
}

// close commits what waits and ends the writer.
func (w *writer) close() error {
	w.mu.Lock()
	already := w.closed
	w.closed = true
	w.room.Broadcast()
	w.mu.Unlock()
	if already {
		return nil
	}
	w.signal()
	<-w.stopped
	w.timer.Stop()
	for _, s := range w.tx.stmts {
		s.Close()
	}
	return w.conn.Close()
}

// stmt prepares a statement once.
func (t *tx) stmt(query string) (*sql.Stmt, error) {
	if s, ok := t.stmts[query]; ok {
		return s, nil
	}
	s, err := t.conn.PrepareContext(t.ctx, query)
	if err != nil {
		return nil, err
	}
	t.stmts[query] = s
	return s, nil
}

func (t *tx) exec(query string, args ...any) error {
	_, err := t.execCount(query, args...)
	return err
}

// execCount runs a statement and returns how many rows it changed.
func (t *tx) execCount(query string, args ...any) (int64, error) {
	s, err := t.stmt(query)
	if err != nil {
		return 0, err
	}
	result, err := s.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// row reads one row into dest, or returns sql.ErrNoRows.
func (t *tx) row(query string, args []any, dest ...any) error {
	s, err := t.stmt(query)
	if err != nil {
		return err
	}
	return s.QueryRowContext(t.ctx, args...).Scan(dest...)
}

// query reads rows, calling scan for each.
func (t *tx) query(query string, args []any, scan func(*sql.Rows) error) error {
	s, err := t.stmt(query)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(t.ctx, args...)
	if err != nil {
		return err
	}
	return each(rows, scan)
}

// each calls scan for every row and closes rows.
func each(rows *sql.Rows, scan func(*sql.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// onCommit calls f once the group is durable, before anybody is told.
func (t *tx) onCommit(f func()) { t.after = append(t.after, f) }

type writerMetrics struct {
	seconds, ops prometheus.Histogram
	failures     prometheus.Counter
}

func newWriterMetrics(r prometheus.Registerer) *writerMetrics {
	m := &writerMetrics{
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "postrider_sqlite_commit_seconds",
			Help: "Time of a group's transaction, sync included.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)}),
		ops: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "postrider_sqlite_commit_ops",
			Help: "Writes in a group.", Buckets: prometheus.ExponentialBuckets(1, 4, 7)}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{Name: "postrider_sqlite_commit_failures_total",
			Help: "Groups that were not committed."}),
	}
	if r != nil {
		r.MustRegister(m.seconds, m.ops, m.failures)
	}
	return m
}
