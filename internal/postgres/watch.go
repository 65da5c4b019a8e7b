package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider/postrider/internal/steady"
)

const (
	listenCheck = 10 * time.Second // the listening connection is asked for a sign of life that often
	listenPause = time.Second      // between attempts to connect it anew
)

// watch tells watchers of notifications. It has a connection of its own, beside the pool, from the first watcher on.
type watch struct {
	d    *Database
	once sync.Once

	mu       sync.Mutex
	watchers map[chan struct{}]struct{}
}

func newWatch(d *Database) *watch { return &watch{d: d, watchers: map[chan struct{}]struct{}{}} }

// Watch signals after changes; see postrider.Feed. After the connection was lost there is a signal too, since a change may have
// gone by unheard.
func (d *Database) Watch(ctx context.Context) <-chan struct{} {
	w := d.watch
	c := make(chan struct{}, 1)
	w.mu.Lock()
	w.watchers[c] = struct{}{}
	w.mu.Unlock()
	context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.watchers, c)
	})
	w.once.Do(func() { d.work.Go(func() { w.run(d.background) }) })
	return c
}

func (w *watch) notify() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// run listens until ctx ends. Of an outage it is said once that it began.
func (w *watch) run(ctx context.Context) {
	told := false
	for ctx.Err() == nil {
		listened, err := w.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		if listened {
			w.d.metrics.relistens.Inc()
			told = false
		}
		if !told {
			w.d.log.Warn("the connection that hears of changes was lost; changes are polled until it is back", "error", err)
			told = true
		}
		steady.Sleep(ctx, listenPause)
	}
}

// listen hands notifications on, as long as the connection lives. It reports whether there was one.
func (w *watch) listen(ctx context.Context) (listened bool, err error) {
	conn, err := pgx.ConnectConfig(ctx, w.d.pool.Config().ConnConfig)
	if err != nil {
		return false, err
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(last) // it may be dead
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{w.d.channel}.Sanitize()); err != nil {
		return false, err
	}
	w.notify()
	for {
		wait, cancel := context.WithTimeout(ctx, listenCheck)
		_, err := conn.WaitForNotification(wait)
		timeout := wait.Err() != nil
		cancel()
		switch {
		case err == nil:
			w.notify()
		case ctx.Err() != nil || !timeout || conn.IsClosed():
			return true, err
		default:
			if err := alive(ctx, conn); err != nil {
				return true, err
			}
		}
	}
}

func alive(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	return conn.Ping(ctx)
}
