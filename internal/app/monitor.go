package app

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/steady"
)

// How engines are asked whether what they stand on is there.
const (
	checkEvery    = 5 * time.Second
	checkAgain    = time.Second     // after a failure
	checkPatience = 3 * time.Second // for one answer
	checkStrikes  = 2               // failures in a row, from which on it counts as away
)

// monitor asks the engines that are postrider.Checkers, each at its own pace, and tells health.
type monitor struct {
	app *app
	up  *prometheus.GaugeVec
}

func newMonitor(a *app) *monitor {
	m := &monitor{app: a, up: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "postrider_dependency_up",
		Help: "1 while what a seam stands on answers, 0 while it does not, by seam."}, []string{"seam"})}
	a.registry.MustRegister(m.up)
	return m
}

// checkers are the engines that can be asked, by seam.
func (m *monitor) checkers() map[string]postrider.Checker {
	e := m.app.engines
	found := map[string]postrider.Checker{}
	for seam, engine := range map[config.Seam]any{config.SeamEvents: e.events, config.SeamQueue: e.queue,
		config.SeamPayloads: e.payloads, config.SeamOutcomes: e.outcomes, config.SeamDatabase: e.database} {
		if checker, ok := engine.(postrider.Checker); ok {
			found[string(seam)] = checker
		}
	}
	return found
}

// expect has readiness wait for the first answer of each. The data file has given it, by being opened.
func (m *monitor) expect() {
	c := m.app.Config
	for seam, engine := range map[config.Seam]config.Engine{config.SeamEvents: c.Events, config.SeamQueue: c.Queue,
		config.SeamPayloads: c.Payloads, config.SeamOutcomes: c.Outcomes, config.SeamDatabase: c.Database} {
		if _, asked := m.checkers()[string(seam)]; asked && engine.Scheme != config.SchemeSQLite {
			m.app.health.set(string(seam), "not asked yet")
		}
	}
}

// run asks until ctx ends.
func (m *monitor) run(ctx context.Context) error {
	var checks sync.WaitGroup
	for seam, checker := range m.checkers() {
		checks.Go(func() { m.watch(ctx, seam, checker) })
	}
	<-ctx.Done()
	checks.Wait()
	return nil
}

// watch asks one engine. Once it has answered, one failure alone is no outage: a request may be lost, and a process must not
// fall out of a balancer for it.
func (m *monitor) watch(ctx context.Context, seam string, checker postrider.Checker) {
	up := m.up.WithLabelValues(seam)
	up.Set(1)
	strikes := checkStrikes - 1
	for {
		var pause time.Duration
		err := m.ask(ctx, checker)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			if strikes >= checkStrikes {
				m.app.Logger.Info("a dependency is back", "seam", seam)
			}
			strikes, pause = 0, checkEvery
			up.Set(1)
			m.app.health.set(seam, "")
		default:
			strikes++
			pause = checkAgain
			if strikes == checkStrikes {
				m.app.Logger.Warn("a dependency does not answer", "seam", seam, "error", err)
			}
			if strikes >= checkStrikes {
				up.Set(0)
				m.app.health.set(seam, shown(err))
			}
		}
		if !steady.Sleep(ctx, pause) {
			return
		}
	}
}

func (m *monitor) ask(ctx context.Context, checker postrider.Checker) error {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	return checker.Check(ctx)
}

// shown is what whoever reads /readyz may know of an error: what the domain says of it, and never its cause.
func shown(err error) string {
	var fault *postrider.Error
	if errors.As(err, &fault) && fault.Message != "" {
		return fault.Message
	}
	return "it does not answer; the log says more"
}
