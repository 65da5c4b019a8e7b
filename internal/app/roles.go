package app

import (
	"context"
	"fmt"
	"time"

	"github.com/postrider/postrider/internal/announce"
	"github.com/postrider/postrider/internal/api"
	"github.com/postrider/postrider/internal/archive"
	"github.com/postrider/postrider/internal/budget"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/consume"
	"github.com/postrider/postrider/internal/dispatch"
	"github.com/postrider/postrider/internal/egress"
	"github.com/postrider/postrider/internal/match"
	"github.com/postrider/postrider/internal/retry"
	"github.com/postrider/postrider/internal/trace"
)

// builder makes the roles of a process from its engines and settings, and what they share.
type builder struct {
	app       *app
	guard     *egress.Guard
	budget    *budget.Budget
	cache     *match.Cache
	announcer *announce.Announcer
	tracer    *trace.Tracer // nil: off
}

// role is what start starts.
type role struct {
	name  string
	takes bool // takes work, and so stops before those that live on what it records
	run   func(context.Context) error
}

// build makes the roles that the process is to run, in the order in which they start.
func (b *builder) build() ([]role, error) {
	if err := b.shared(); err != nil {
		return nil, err
	}
	var roles []role
	c := b.app.Config
	if c.Has(config.RoleArchiver) {
		roles = append(roles, role{name: "archiver", run: b.archiver().Run})
	}
	if c.Has(config.RoleDispatcher) {
		roles = append(roles, role{name: "announcer", run: b.announcer.Run}, role{name: "dispatcher", takes: true, run: b.dispatcher().Run})
	}
	if c.Has(config.RoleRetry) {
		roles = append(roles, role{name: "retry", takes: true, run: b.retry().Run})
	}
	if c.Has(config.RoleConsumer) {
		roles = append(roles, role{name: "consumer", takes: true, run: b.consumer().Run})
	}
	return roles, nil
}

// shared makes what several roles use.
func (b *builder) shared() error {
	a, c := b.app, b.app.Config
	var err error
	b.guard, err = egress.New(egress.Options{
		Allow: c.AllowTargets, Resolver: a.Resolver, Dial: a.Dial, Proxy: c.EgressProxy, RootCAs: c.RootCAs, MaxIdle: idleLimit(), Registerer: a.registry,
	})
	if err != nil {
		return fmt.Errorf("egress: %w", err)
	}
	b.budget = budget.New(c.MemoryBudget)
	if c.Has(config.RoleConsumer) || c.Has(config.RoleDispatcher) {
		b.cache = match.New(match.Options{Feed: a.engines.database, Clock: a.Clock, Logger: a.Logger, Registerer: a.registry})
	}
	if c.Has(config.RoleDispatcher) {
		b.announcer = announce.New(announce.Options{
			Notices: a.engines.database, Events: a.engines.events, Clock: a.Clock, Logger: a.Logger, Registerer: a.registry,
		})
	}
	return nil
}

func (b *builder) consumer() *consume.Consumer {
	a, c := b.app, b.app.Config
	inline := c.InlineLimit
	if inline == 0 {
		inline = -1 // none travels in the queue
	}
	return consume.New(consume.Options{
		Events: a.engines.events, Queue: a.engines.queue, Payloads: a.engines.payloads, Outcomes: a.engines.outcomes, Cache: b.cache, Tracer: b.tracer,
		InlineLimit: inline, Drain: a.drain(), Clock: a.Clock, Logger: a.Logger, Registerer: a.registry,
	})
}

func (b *builder) dispatcher() *dispatch.Dispatcher {
	a, c := b.app, b.app.Config
	return dispatch.New(dispatch.Options{
		Queue: a.engines.queue, Payloads: a.engines.payloads, Events: a.engines.events, Outcomes: a.engines.outcomes,
		Database: a.engines.database, Cache: b.cache, Transport: b.guard.Transport, Open: a.box.Open, Budget: b.budget,
		Retry: c.Retry, Timeout: c.Timeout, MaxInFlight: c.MaxInFlight, TargetMaxInFlight: c.TargetMaxInFlight, Drain: a.drain(),
		UserAgent: "Postrider/" + a.Version, Process: a.instance, Announce: b.announcer.Nudge,
		Tracer: b.tracer, TraceTargets: c.TraceTargets,
		Clock: a.Clock, Logger: a.Logger, Registerer: a.registry,
	})
}

func (b *builder) retry() *retry.Manager {
	a := b.app
	return retry.New(retry.Options{Queue: a.engines.queue, Drain: a.drain(), Clock: a.Clock, Logger: a.Logger, Registerer: a.registry})
}

func (b *builder) archiver() *archive.Archiver {
	a := b.app
	return archive.New(archive.Options{
		Outcomes: a.engines.outcomes, Queue: a.engines.queue, Database: a.engines.database, Events: a.engines.events,
		Payloads: a.engines.payloads, Retention: a.Config.Retention, EventRetention: a.Config.EventRetention, PayloadRetention: a.Config.PayloadRetention, Drain: a.drain(),
		Clock: a.Clock, Logger: a.Logger, Registerer: a.registry,
	})
}

// drain is how long a role drains. Roles take 0 for their default.
func (a *app) drain() time.Duration { return max(a.Config.Drain, time.Millisecond) }

func (b *builder) api() *api.API {
	a, c := b.app, b.app.Config
	return api.New(api.Options{
		Database: a.engines.database, Events: a.engines.events, Queue: a.engines.queue, Payloads: a.engines.payloads, Outcomes: a.engines.outcomes, Cache: b.cache,
		Box: a.box, Guard: b.guard, Budget: b.budget, AdminKey: a.adminKey, BasePath: c.BasePath, MaxPayload: c.MaxPayload,
		Tracer: b.tracer, SecretOverlap: c.SecretOverlap, Version: a.Version, Clock: a.Clock, Logger: a.Logger, Registerer: a.registry,
	})
}
