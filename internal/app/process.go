package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/match"
)

// process is what runs.
type process struct {
	app    *app
	failed chan *part

	cache *match.Cache // nil if no role needs it
	gate  *gate        // nil without the role api

	main, metrics, profiles *server

	takers    []*part // consumer, dispatcher, retry manager
	recorders []*part // archiver, announcer
	follower  *part   // the cache
}

// start starts the roles. What each needs is there before it.
func (a *app) start(ctx context.Context) (*process, error) {
	p := &process{app: a, failed: make(chan *part, 16)}
	b := &builder{app: a}
	roles, err := b.build() //nolint:contextcheck // a gauge that is read later has no context of ours
	if err != nil {
		return nil, err
	}
	p.cache = b.cache
	if p.cache != nil {
		a.health.set("cache", "the subscriptions are not loaded yet")
		p.follower = start(ctx, "cache", p.failed, p.cache.Run)
	}
	for _, r := range roles {
		started := start(ctx, r.name, p.failed, r.run)
		if r.takes {
			p.takers = append(p.takers, started)
		} else {
			p.recorders = append(p.recorders, started)
		}
	}
	if err := p.listen(ctx, b); err != nil {
		return nil, errors.Join(err, p.stop(ctx))
	}
	return p, nil
}

// listen opens the listeners and begins to answer.
func (p *process) listen(ctx context.Context, b *builder) error {
	a, c := p.app, p.app.Config
	var handler http.Handler
	if c.Has(config.RoleAPI) {
		p.gate = newGate(b.api().Handler())
		handler = p.gate
	}
	metrics := metricsHandler(a.registry, a.Logger)
	if c.MetricsListen != "" {
		l, err := a.Listen(ctx, "tcp", c.MetricsListen)
		if err != nil {
			return listenError("metrics-listen", c.MetricsListen, err)
		}
		p.metrics = serve(l, routes(nil, a.health, metrics), connectionLimit(), a.Logger)
		metrics = nil
	}
	if c.Pprof != "" {
		l, err := a.Listen(ctx, "tcp", c.Pprof)
		if err != nil {
			return listenError("pprof", c.Pprof, err)
		}
		p.profiles = serve(l, profiles(), connectionLimit(), a.Logger)
	}
	l, err := a.Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return listenError("listen", c.Listen, err)
	}
	p.main = serve(l, routes(handler, a.health, metrics), connectionLimit(), a.Logger)
	return nil
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
	a.health.set("process", "it is stopping")
	a.Logger.Info("stopping", "drain", a.Config.Drain)
	drain, cancel := context.WithTimeout(ctx, a.Config.Drain+closing)
	defer cancel()
	var errs []error
	errs = append(errs, p.drainTakers(drain)...)
	errs = append(errs, stop(drain, p.recorders...)...)
	if p.follower != nil {
		errs = append(errs, stop(drain, p.follower)...)
	}
	last, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	errs = append(errs, p.main.stop(last), p.metrics.stop(last), p.profiles.stop(last))
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

// listenError says which setting names an address that cannot be listened on.
func listenError(setting, addr string, err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return fmt.Errorf("cannot listen on %s (--%s): %w", addr, setting, err)
}
