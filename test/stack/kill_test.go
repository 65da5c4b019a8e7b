package stack

import (
	"os/exec"
	"testing"
)

// What a fault may make twins of, in a drill. docs/delivery.md gives the rules that these are the sums of.
const (
	uncommitted = 2 * (1000/50 + posters*1000/200) // the deliveries of the last second's events at the consumer: two targets, produceEvery, postEvery
	held        = 2*inFlight + 100                 // deliveries in a dispatcher's hands: credit, what is being settled, and one pack
	moving      = 100                              // deliveries between two lanes in a retry manager's hands
)

// TestKillRoles kills each role in turn under load, and starts it again.
func TestKillRoles(t *testing.T) {
	t.Parallel()
	f := newFleet(t, drillSettings()...)
	d := newDrill(t, f, f.startAll(t))
	for _, c := range []struct {
		role   string
		twins  int
		leases bool
	}{
		{"api", 0, false},
		{"archiver", 0, false},
		{"consumer", uncommitted, false},
		{"retry", moving, true},
		{"dispatcher", held, true},
	} {
		d.suffer(t, fault{name: "kill -9 of " + c.role, twins: c.twins, leases: c.leases, run: func() {
			d.processes[c.role].Kill()
			d.processes[c.role] = f.start(t, c.role)
		}})
	}
	d.finish(t)
}

// TestKillServers kills each server in turn under load, and starts it again. It runs alone, before the tests that are parallel.
func TestKillServers(t *testing.T) { //nolint:paralleltest // all tests use these servers
	f := newFleet(t, drillSettings()...)
	d := newDrill(t, f, f.startAll(t))
	for _, c := range []struct {
		server, what string
		twins        int
		leases       bool
	}{
		{"pg", "PostgreSQL", 0, false},
		{"s3", "the S3 server", 0, false},
		{"kafka", "Kafka", uncommitted, false},
		{"sqs", "the SQS server", uncommitted + held + moving, true},
	} {
		d.suffer(t, fault{name: "kill -9 of " + c.what, twins: c.twins, leases: c.leases, run: func() {
			control(t, "kill", c.server)
			control(t, "start", c.server)
		}})
	}
	d.finish(t)
}

// control has stack/stack do something with a server.
func control(t *testing.T, command, server string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "../../stack/stack", command, server).CombinedOutput()
	if err != nil {
		t.Fatalf("stack %s %s: %v\n%s", command, server, err, out)
	}
	t.Cleanup(func() { // whatever fails, the tests that follow find the server there
		if command == "kill" {
			exec.Command("../../stack/stack", "start", server).Run()
		}
	})
}
