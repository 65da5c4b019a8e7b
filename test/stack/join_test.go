package stack

import (
	"testing"

	"github.com/postrider/postrider/test/harness"
)

// TestTwoOfEach runs two processes of each role. Under load one of each leaves, cleanly, and another joins.
func TestTwoOfEach(t *testing.T) {
	t.Parallel()
	f := newFleet(t, drillSettings()...)
	d := newDrill(t, f, f.startAll(t))
	seconds := f.startAll(t)
	d.suffer(t, fault{name: "one of each leaves, and another joins", twins: twins{back: held}, run: func() { // who leaves cleanly has handed over: no twins
		for _, role := range roles {
			leave(t, role, d.processes[role])
			d.processes[role] = f.start(t, role)
		}
	}})
	d.suffer(t, fault{name: "a second consumer leaves and joins, twice", run: func() {
		for range 2 {
			leave(t, "consumer", seconds["consumer"])
			seconds["consumer"] = f.start(t, "consumer")
		}
	}})
	d.finish(t)
}

// leave stops a process cleanly.
func leave(t *testing.T, role string, p *harness.Server) {
	t.Helper()
	if status := p.Stop(t); status != 0 {
		t.Errorf("%s ends with status %d", role, status)
	}
}
