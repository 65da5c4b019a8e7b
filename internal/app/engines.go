package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/kafka"
	"github.com/postrider/postrider/internal/postgres"
	"github.com/postrider/postrider/internal/s3"
	"github.com/postrider/postrider/internal/sqlite"
	"github.com/postrider/postrider/internal/sqs"
)

// engines are what stands behind the five seams.
type engines struct {
	events   postrider.EventLog
	queue    postrider.Queue
	payloads postrider.PayloadStore
	outcomes postrider.OutcomeLog
	database postrider.Database

	embedded *sqlite.DB // nil if no seam needs it

	mu      sync.Mutex
	closers []func() error // in the order of opening
}

// openEngines opens the engine of each seam by the scheme of its URL, all at once. An engine that is away is waited for, so
// that a process may start before what it stands on; what is wrong with the configuration ends the process. A new engine
// gets a case here, and its scheme a place in config.
func (a *app) openEngines(ctx context.Context) error {
	e := a.engines
	if a.Config.Embedded() {
		if err := a.openEmbedded(ctx, e); err != nil {
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for seam, open := range map[config.Seam]func(context.Context, prometheus.Registerer, *engines) error{
		config.SeamDatabase: a.openDatabase, config.SeamEvents: a.openEvents, config.SeamQueue: a.openQueue,
		config.SeamPayloads: a.openPayloads, config.SeamOutcomes: a.openOutcomes,
	} {
		group.Go(func() error {
			return a.await(ctx, string(seam), func(ctx context.Context, r prometheus.Registerer) error { return open(ctx, r, e) })
		})
	}
	return group.Wait()
}

// openEmbedded opens the file that all seams with the scheme sqlite share.
func (a *app) openEmbedded(ctx context.Context, e *engines) error {
	db, err := sqlite.Open(ctx, sqlite.Options{
		Dir: a.Config.Data, Clock: a.Clock, Logger: a.Logger, Registerer: a.registry, Instance: a.instance,
		QueueLease: a.lease(),
	})
	if err != nil {
		return fmt.Errorf("opening the data folder %s: %w", a.Config.Data, err)
	}
	e.embedded = db
	e.closes(db.Close)
	return nil
}

// lease is how long a queue item is a dispatcher's: time for two attempts, and some to spare.
func (a *app) lease() time.Duration { return 2*a.Config.Timeout + 30*time.Second }

func (a *app) openDatabase(ctx context.Context, r prometheus.Registerer, e *engines) error {
	switch a.Config.Database.Scheme {
	case config.SchemeSQLite:
		e.database = e.embedded.Database()
		return nil
	case "postgres", "postgresql":
		db, err := postgres.Open(ctx, postgres.Options{
			URL: a.Config.Database.Raw, Instance: a.instance, Clock: a.Clock, Logger: a.Logger, Registerer: r,
		})
		if err != nil {
			return fmt.Errorf("opening the database %s: %w", a.Config.Database, err)
		}
		e.database = db
		e.closes(db.Close)
		return nil
	}
	return notBuilt(config.SeamDatabase, a.Config.Database)
}

func (a *app) openEvents(ctx context.Context, r prometheus.Registerer, e *engines) error {
	switch a.Config.Events.Scheme {
	case config.SchemeSQLite:
		e.events = e.embedded.Events()
		return nil
	case "kafka", "kafka+tls":
		key, err := ownKey(a.Config)
		if err != nil {
			return err
		}
		log, err := kafka.OpenEvents(ctx, kafka.EventOptions{
			URL: a.Config.Events.Raw, MaxPayload: a.Config.MaxPayload, Retention: a.Config.EventRetention, OwnKey: key, Clock: a.Clock, Logger: a.Logger, Registerer: r,
		})
		if err != nil {
			return fmt.Errorf("opening the events log %s: %w", a.Config.Events, err)
		}
		e.events = log
		e.closes(log.Close)
		return nil
	}
	return notBuilt(config.SeamEvents, a.Config.Events)
}

func (a *app) openQueue(ctx context.Context, r prometheus.Registerer, e *engines) error {
	switch a.Config.Queue.Scheme {
	case config.SchemeSQLite:
		e.queue = e.embedded.Queue()
		return nil
	case "sqs":
		queue, err := sqs.Open(ctx, sqs.Options{
			URL: a.Config.Queue.Raw, Lease: a.lease(), Clock: a.Clock, Logger: a.Logger, Registerer: r,
		})
		if err != nil {
			return fmt.Errorf("opening the queue %s: %w", a.Config.Queue, err)
		}
		e.queue = queue
		e.closes(queue.Close)
		return nil
	}
	return notBuilt(config.SeamQueue, a.Config.Queue)
}

func (a *app) openPayloads(ctx context.Context, r prometheus.Registerer, e *engines) error {
	switch a.Config.Payloads.Scheme {
	case config.SchemeSQLite:
		e.payloads = e.embedded.Payloads()
		return nil
	case "s3":
		store, err := s3.Open(ctx, s3.Options{
			URL: a.Config.Payloads.Raw, Retention: a.Config.PayloadRetention, Logger: a.Logger, Registerer: r,
		})
		if err != nil {
			return fmt.Errorf("opening the payload store %s: %w", a.Config.Payloads, err)
		}
		e.payloads = store
		e.closes(store.Close)
		return nil
	}
	return notBuilt(config.SeamPayloads, a.Config.Payloads)
}

func (a *app) openOutcomes(ctx context.Context, r prometheus.Registerer, e *engines) error {
	switch a.Config.Outcomes.Scheme {
	case config.SchemeSQLite:
		e.outcomes = e.embedded.Outcomes(a.Config.Database.Scheme == config.SchemeSQLite)
		return nil
	case "kafka", "kafka+tls":
		log, err := kafka.OpenOutcomes(ctx, kafka.OutcomeOptions{
			URL: a.Config.Outcomes.Raw, Retention: a.Config.OutcomeRetention, Clock: a.Clock, Logger: a.Logger, Registerer: r,
		})
		if err != nil {
			return fmt.Errorf("opening the outcome log %s: %w", a.Config.Outcomes, err)
		}
		e.outcomes = log
		e.closes(log.Close)
		return nil
	}
	return notBuilt(config.SeamOutcomes, a.Config.Outcomes)
}

// Variables are the environment variables that engines read themselves, since no setting may hold them.
func Variables() []string { return []string{kafka.PasswordVariable} }

// CheckEngine tells what is wrong with the URL of a seam's engine, before it is opened.
func CheckEngine(seam config.Seam, e config.Engine) error {
	switch e.Scheme {
	case "kafka", "kafka+tls":
		return kafka.CheckURL(string(seam), e.Raw)
	case "sqs":
		return sqs.CheckURL(e.Raw)
	case "s3":
		return s3.CheckURL(e.Raw)
	case "postgres", "postgresql":
		return postgres.CheckURL(e.Raw)
	}
	return nil
}

func notBuilt(seam config.Seam, e config.Engine) error {
	return fmt.Errorf("no engine %q for the %s", e.Scheme, seam)
}

// closes adds what closes an engine.
func (e *engines) closes(c func() error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closers = append(e.closers, c)
}

// close closes the engines in the reverse order of their opening.
func (e *engines) close() error {
	var errs []error
	for _, c := range slices.Backward(e.closers) {
		errs = append(errs, c())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing the engines: %w", err)
	}
	return nil
}
