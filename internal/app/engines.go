package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/kafka"
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

	embedded *sqlite.DB     // nil if no seam needs it
	closers  []func() error // in the order of opening
}

// openEngines opens the engine of each seam by the scheme of its URL. A new engine gets a case here, and its scheme a place
// in config.
func (a *app) openEngines(ctx context.Context) (*engines, error) {
	e := &engines{}
	if a.Config.Embedded() {
		if err := a.openEmbedded(ctx, e); err != nil {
			return nil, err
		}
	}
	for _, open := range []func(context.Context, *engines) error{a.openDatabase, a.openEvents, a.openQueue, a.openPayloads, a.openOutcomes} {
		if err := open(ctx, e); err != nil {
			return nil, errors.Join(err, e.close())
		}
	}
	return e, nil
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
	e.closers = append(e.closers, db.Close)
	return nil
}

// lease is how long a queue item is a dispatcher's: time for two attempts, and some to spare.
func (a *app) lease() time.Duration { return 2*a.Config.Timeout + 30*time.Second }

func (a *app) openDatabase(_ context.Context, e *engines) error {
	switch a.Config.Database.Scheme {
	case config.SchemeSQLite:
		e.database = e.embedded.Database()
		return nil
	}
	return notBuilt(config.SeamDatabase, a.Config.Database)
}

func (a *app) openEvents(ctx context.Context, e *engines) error {
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
			URL: a.Config.Events.Raw, MaxPayload: a.Config.MaxPayload, OwnKey: key, Clock: a.Clock, Logger: a.Logger, Registerer: a.registry,
		})
		if err != nil {
			return fmt.Errorf("opening the events log %s: %w", a.Config.Events, err)
		}
		e.events = log
		e.closers = append(e.closers, log.Close)
		return nil
	}
	return notBuilt(config.SeamEvents, a.Config.Events)
}

func (a *app) openQueue(ctx context.Context, e *engines) error {
	switch a.Config.Queue.Scheme {
	case config.SchemeSQLite:
		e.queue = e.embedded.Queue()
		return nil
	case "sqs":
		queue, err := sqs.Open(ctx, sqs.Options{
			URL: a.Config.Queue.Raw, Lease: a.lease(), Clock: a.Clock, Logger: a.Logger, Registerer: a.registry,
		})
		if err != nil {
			return fmt.Errorf("opening the queue %s: %w", a.Config.Queue, err)
		}
		e.queue = queue
		e.closers = append(e.closers, queue.Close)
		return nil
	}
	return notBuilt(config.SeamQueue, a.Config.Queue)
}

func (a *app) openPayloads(ctx context.Context, e *engines) error {
	switch a.Config.Payloads.Scheme {
	case config.SchemeSQLite:
		e.payloads = e.embedded.Payloads()
		return nil
	case "s3":
		store, err := s3.Open(ctx, s3.Options{
			URL: a.Config.Payloads.Raw, Retention: a.Config.PayloadRetention, Logger: a.Logger, Registerer: a.registry,
		})
		if err != nil {
			return fmt.Errorf("opening the payload store %s: %w", a.Config.Payloads, err)
		}
		e.payloads = store
		e.closers = append(e.closers, store.Close)
		return nil
	}
	return notBuilt(config.SeamPayloads, a.Config.Payloads)
}

func (a *app) openOutcomes(ctx context.Context, e *engines) error {
	switch a.Config.Outcomes.Scheme {
	case config.SchemeSQLite:
		e.outcomes = e.embedded.Outcomes(a.Config.Database.Scheme == config.SchemeSQLite)
		return nil
	case "kafka", "kafka+tls":
		log, err := kafka.OpenOutcomes(ctx, kafka.OutcomeOptions{
			URL: a.Config.Outcomes.Raw, Clock: a.Clock, Logger: a.Logger, Registerer: a.registry,
		})
		if err != nil {
			return fmt.Errorf("opening the outcome log %s: %w", a.Config.Outcomes, err)
		}
		e.outcomes = log
		e.closers = append(e.closers, log.Close)
		return nil
	}
	return notBuilt(config.SeamOutcomes, a.Config.Outcomes)
}

func notBuilt(seam config.Seam, e config.Engine) error {
	return fmt.Errorf("no engine %q for the %s", e.Scheme, seam)
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
