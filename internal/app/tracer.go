package app

import (
	"context"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/trace"
)

// lastTraces is how long a stop waits until the collector has the last spans. They are not worth more.
const lastTraces = 2 * time.Second

// openTracer returns nil if no collector is set.
func (a *app) openTracer(ctx context.Context) (*trace.Tracer, error) {
	c := a.Config
	if c.OTLPEndpoint == "" {
		return nil, nil
	}
	roles := make([]string, len(c.Roles))
	for i, r := range c.Roles {
		roles[i] = string(r)
	}
	return trace.Open(ctx, trace.Options{Endpoint: c.OTLPEndpoint, Ratio: c.TraceRatio, Version: a.Version, Instance: a.instance,
		Roles: strings.Join(roles, ","), Logger: a.Logger})
}

func (p *process) closeTracer(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastTraces)
	defer cancel()
	if err := p.tracer.Close(ctx); err != nil {
		p.app.Logger.Warn("the last traces are lost", "error", err)
	}
}
