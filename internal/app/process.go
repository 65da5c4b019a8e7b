package app

import (
	"context"
	"errors"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/match"
	"github.com/postrider/postrider/internal/steady"
	"github.com/postrider/postrider/internal/trace"
)

// process is what runs.
type process struct {
	app    *app
	front  *front
	failed chan *part

	cache *match.Cache // nil if no role needs it
	gate  *gate        // nil without the role api

	takers    []*part // consumer, dispatcher, retry manager
	recorders []*part // archiver, announcer
	follower  *part   // the cache
	monitor   *part

	tracer *trace.Tracer // nil: off
}

// start starts the roles. What each needs is there before it.
func (a *app) start(ctx context.Context, front *front) (*process, error) {
	p := &process{app: a, front: front, failed: make(chan *part, 16)}
	var err error
	if p.tracer, err = a.openTracer(ctx); err != nil {
		return nil, err
	}
	b := &builder{app: a, tracer: p.tracer}
	roles, err := b.build() //nolint:contextcheck // a gauge that is read later has no context of ours
	if err != nil {
		return nil, err
	}
	p.cache = b.cache
	if p.cache != nil {
		a.health.set(partCache, "the subscriptions are not loaded yet")
		p.follower = start(ctx, partCache, p.failed, p.cache.Run)
	}
	for _, r := range roles {
		started := start(ctx, r.name, p.failed, r.run)
		if r.takes {
			p.takers = append(p.takers, started)
		} else {
			p.recorders = append(p.recorders, started)
		}
	}
	monitor := newMonitor(a)
	monitor.expect()
	p.monitor = start(ctx, "monitor", p.failed, monitor.run)
	if a.Config.Has(config.RoleAPI) {
		p.gate = newGate(b.api().Handler())
		front.open(p.gate)
	}
	a.health.set(partProcess, "")
	return p, nil
}

// ready is closed when the process can do its work.
func (p *process) ready() <-chan struct{} {
	if p.cache != nil {
		return p.cache.Ready()
	}
	done := make(chan struct{})
	close(done)
	return done
}

// stop stops everything in order, within the drain and a little more. It returns what went wrong.
func (p *process) stop(ctx context.Context) error {
	a := p.app
	begun := a.Clock()
	a.health.set(partProcess, "it is stopping")
	a.Logger.Info("stopping", "drain", a.Config.Drain)
	steady.Sleep(ctx, a.Config.DrainDelay)
	drain, cancel := context.WithTimeout(ctx, a.Config.Drain+closing)
	defer cancel()
	var errs []error
	errs = append(errs, p.drainTakers(drain)...)
	errs = append(errs, stop(drain, p.recorders...)...)
	if p.follower != nil {
		errs = append(errs, stop(drain, p.follower)...)
	}
	errs = append(errs, stop(drain, p.monitor)...)
	errs = append(errs, p.front.stop(ctx))
	p.closeTracer(ctx)
	err := errors.Join(errs...)
	a.Logger.Info("stopped", "took", a.Clock().Sub(begun).Round(time.Millisecond))
	return err
}

// drainTakers refuses new requests, lets those that are inside end, and meanwhile stops the roles that take work.
func (p *process) drainTakers(ctx context.Context) []error {
	inside := make(chan error, 1)
	if p.gate == nil {
		inside <- nil
	} else {
		p.gate.close()
		go func() {
			ctx, cancel := context.WithTimeout(ctx, p.app.Config.Drain)
			defer cancel()
			inside <- p.gate.wait(ctx)
		}()
	}
	errs := stop(ctx, p.takers...)
	if err := <-inside; err != nil {
		p.app.Logger.Warn("requests are cut off, since they did not end within the drain")
	}
	return errs
}
