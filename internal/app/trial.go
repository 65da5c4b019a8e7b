package app

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/steady"
)

// trial is a registerer for one try to open an engine: what was registered is taken back if the try fails.
type trial struct {
	prometheus.Registerer
	made []prometheus.Collector
}

// Register registers, and takes note.
func (t *trial) Register(c prometheus.Collector) error {
	err := t.Registerer.Register(c)
	if err == nil {
		t.made = append(t.made, c)
	}
	return err
}

// MustRegister is Register; it panics at an error, as prometheus.Registerer does.
func (t *trial) MustRegister(collectors ...prometheus.Collector) {
	for _, c := range collectors {
		if err := t.Register(c); err != nil {
			panic(err)
		}
	}
}

func (t *trial) undo() {
	for _, c := range t.made {
		t.Unregister(c)
	}
}

// await does what needs a part of the world until that is there: CodeUnavailable is waited out, with back-off, while
// readiness names the part; any other error, and the end of ctx, ends it.
func (a *app) await(ctx context.Context, part string, do func(context.Context, prometheus.Registerer) error) error {
	a.health.set(part, "not connected yet")
	var pause steady.Backoff
	for {
		t := &trial{Registerer: a.registry}
		err := do(ctx, t)
		if err == nil {
			a.health.set(part, "")
			return nil
		}
		t.undo()
		if ctx.Err() != nil || postrider.CodeOf(err) != postrider.CodeUnavailable {
			return err
		}
		a.health.set(part, shown(err))
		pause.After(ctx, a.Logger, "opening the "+part, err)
	}
}
