// Package app wires Postrider together: it is the only importer of engines, which it opens by URL, and it starts and stops
// the roles of a process.
//
// A process stops in this order: intake is refused and what is inside ends; consumer, dispatcher and retry manager stop
// taking and drain; then the archiver and the announcer, which live on what those record; then the cache, the listeners,
// and the engines in the reverse order of their opening.
package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/egress"
	"github.com/postrider/postrider/internal/seal"
)

// Options of a process.
type Options struct {
	Config  *config.Config
	Version string // shown in the User-Agent and the OpenAPI document
	Logger  *slog.Logger
	Ready   func(Ready) // called once when the process is ready for work; may be nil

	// A simulation gives its own clock and network; nil stands for the real ones.
	Clock    postrider.Clock
	Listen   func(ctx context.Context, network, addr string) (net.Listener, error)
	Resolver egress.Resolver                                                   // of the names of targets
	Dial     func(ctx context.Context, network, addr string) (net.Conn, error) // to targets, once vetted
}

// Ready tells where a process that is ready can be used.
type Ready struct {
	URL          string
	API          bool   // the role api is run
	AdminKey     string // to be handed on, never to be logged
	AdminKeyFile string // "" if the key was configured
}

// closing is how long engines and roles get beyond the drain before they are left.
const closing = 10 * time.Second

// Run runs a process until ctx ends, then stops it cleanly. It returns nil after a clean stop.
//
// It answers on its address at once. While an engine is away it waits for it, not ready, and readiness says for what.
func Run(ctx context.Context, o Options) error {
	a := newApp(o)
	front, err := a.listen(ctx)
	if err != nil {
		return err
	}
	err = a.serve(ctx, front)
	return errors.Join(err, front.stop(context.WithoutCancel(ctx)), a.engines.close())
}

// app is a process.
type app struct {
	Options
	registry  *prometheus.Registry
	instance  string
	engines   *engines
	adminKey  string
	adminFile string
	box       *seal.Box
	keyless   bool // DATA had no secret key at the start
	health    *health
}

func newApp(o Options) *app {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Listen == nil {
		o.Listen = (&net.ListenConfig{}).Listen
	}
	a := &app{Options: o, registry: prometheus.NewRegistry(), instance: newInstance(), engines: &engines{}, health: newHealth(o.Config.Roles)}
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), a.health.gauge())
	a.health.set(partProcess, "it is starting")
	return a
}

// serve opens the engines, and runs the roles until ctx ends.
func (a *app) serve(ctx context.Context, front *front) error {
	if err := a.open(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // it was stopped before it began
		}
		return err
	}
	return a.run(ctx, front)
}

// open opens the engines and the keys.
func (a *app) open(ctx context.Context) error {
	a.keyless = lacksSecretKey(a.Config)
	if err := a.openEngines(ctx); err != nil {
		return err
	}
	a.registry.MustRegister(newQueueCollector(a.engines.queue, a.Logger))
	return a.await(ctx, string(config.SeamDatabase), func(ctx context.Context, _ prometheus.Registerer) error { return a.openKeys(ctx) })
}

// run starts what the roles need, waits for ctx or the first failure, and stops it all.
func (a *app) run(ctx context.Context, front *front) error {
	p, err := a.start(context.WithoutCancel(ctx), front)
	if err != nil {
		return err
	}
	ready := p.ready()
	for {
		select {
		case <-ready:
			ready = nil
			a.tellReady(p)
			continue
		case failed := <-p.failed:
			a.Logger.Error("a part has failed, so the process stops", "part", failed.name)
		case <-ctx.Done():
		}
		return p.stop(context.WithoutCancel(ctx))
	}
}

// tellReady says that the process is ready for work.
func (a *app) tellReady(p *process) {
	a.health.set(partCache, "")
	if a.Ready != nil {
		a.Ready(Ready{URL: p.front.url(), API: p.gate != nil, AdminKey: a.adminKey, AdminKeyFile: a.adminFile})
	}
}

// newInstance names this process among others that use the same database.
func newInstance() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	tail := make([]byte, 6)
	rand.Read(tail)
	return host + "-" + hex.EncodeToString(tail)
}
