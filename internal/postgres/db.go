package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
)

// Options say which database, and how it is used.
type Options struct {
	URL        string // postgres:// or postgresql://, as pgx reads it; the password also from PGPASSWORD or the passfile
	Instance   string // names this process in the change feed
	Clock      postrider.Clock
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Database is a postrider.Database. It is safe for concurrent use.
type Database struct {
	options Options
	clock   postrider.Clock
	log     *slog.Logger
	pool    *pgxpool.Pool
	channel string // of notifications
	metrics *metrics
	watch   *watch
	days    days

	background context.Context //nolint:containedctx // of what runs by itself; stop ends it
	stop       context.CancelFunc
	work       sync.WaitGroup
	once       sync.Once
}

var _ postrider.Database = (*Database)(nil)

// Open connects, and brings the schema up to this version; many processes may do so at once. A server that is away is a
// CodeUnavailable; a fault in the URL, a refused login, a missing right and a schema of a later version are other errors.
func Open(ctx context.Context, o Options) (*Database, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	config, err := parseURL(o.URL, o.Instance)
	if err != nil {
		return nil, err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	d := &Database{options: o, clock: o.Clock, log: o.Logger, background: background, stop: stop}
	if d.pool, err = pgxpool.NewWithConfig(background, config); err != nil {
		stop()
		return nil, fmt.Errorf("postgres: %w", err)
	}
	if err := d.prepare(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	d.metrics = newMetrics(o.Registerer, d.pool)
	d.watch = newWatch(d)
	if err := d.makeDays(ctx); err != nil {
		d.log.Warn("partitions could not be made; deliveries go into the default partition meanwhile", "error", err)
	}
	d.work.Go(func() { d.keepDays(background) })
	return d, nil
}

// prepare connects and brings the schema up to date.
func (d *Database) prepare(ctx context.Context) error {
	schema, err := d.schema(ctx)
	if err != nil {
		return err
	}
	h := fnv.New64a()
	h.Write([]byte(schema))
	d.channel = fmt.Sprintf("postrider_%016x", h.Sum64())
	return d.migrate(ctx)
}

// schema returns the schema that the tables are in, which it makes if it is missing.
func (d *Database) schema(ctx context.Context) (string, error) {
	call, cancel := bounded(ctx, callTime)
	defer cancel()
	var schema *string
	err := d.pool.QueryRow(call, "SELECT current_schema()").Scan(&schema)
	if err != nil {
		return "", fault(call, "connect", err)
	}
	if schema != nil {
		return *schema, nil
	}
	name := firstOf(d.pool.Config().ConnConfig.RuntimeParams["search_path"])
	_, err = d.pool.Exec(call, "CREATE SCHEMA IF NOT EXISTS "+pgx.Identifier{name}.Sanitize())
	if code := stateOf(err); code == "23505" || code == "42P06" { // another process made it just now
		err = nil
	}
	return name, fault(call, "make the schema "+name, err)
}

// Close ends the database; calls that run are cut off.
func (d *Database) Close() error {
	d.once.Do(func() {
		d.stop()
		d.work.Wait()
		d.pool.Close()
		d.metrics.unregister()
	})
	return nil
}

// now is the time as the tables keep it.
func (d *Database) now() time.Time { return d.clock().UTC().Truncate(time.Millisecond) }
