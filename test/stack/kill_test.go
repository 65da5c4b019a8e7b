package stack

import (
	"os/exec"
	"testing"
)

// TestKillRoles kills each role in turn under load, and starts it again.
func TestKillRoles(t *testing.T) {
	t.Parallel()
	f := newFleet(t, drillSettings()...)
	d := newDrill(t, f, f.startAll(t))
	for _, c := range []struct {
		role   string
		twins  twins
		leases bool
	}{
		{"api", twins{}, false},
		{"archiver", twins{}, false},
		{"consumer", twins{unseen: uncommitted}, false},
		{"retry", twins{unseen: moving}, true},
		{"dispatcher", twins{held: held}, true},
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
		twins        twins
		leases       bool
	}{
		{"pg", "PostgreSQL", twins{}, false},
		{"s3", "the S3 server", twins{}, false},
		{"kafka", "Kafka", twins{again: uncommitted}, false},
		{"sqs", "the SQS server", twins{held: held, unseen: uncommitted + moving}, true},
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
