// Package stacktest gives tests the real servers that the environment names; stack/stack env prints the variables. A test whose server
// is missing is skipped, or fails where POSTRIDER_STACK is "required".
package stacktest

import (
	"os"
	"os/exec"
	"testing"
)

// Required tells whether a server that is missing is a failure.
func Required() bool { return os.Getenv("POSTRIDER_STACK") == "required" }

// Need returns the value of a variable. Where it is not set the test ends: value says what it is to be set to.
func Need(tb testing.TB, variable, value string) string {
	tb.Helper()
	at := os.Getenv(variable)
	if at == "" {
		Missing(tb, variable+" is not set: it is to be "+value)
	}
	return at
}

// Missing ends a test that can't run: it is skipped, or fails where it is required.
func Missing(tb testing.TB, why string) {
	tb.Helper()
	if Required() {
		tb.Fatal("POSTRIDER_STACK=required, but " + why)
	}
	tb.Skip(why)
}

// Control returns what runs a command of the script that started the servers, such as kill and start; a test that needs it is skipped
// where the servers are not its own to kill.
func Control(t *testing.T) func(args ...string) {
	t.Helper()
	script := os.Getenv("POSTRIDER_STACK_CONTROL")
	if script == "" {
		t.Skip("needs a server of its own to kill: set POSTRIDER_STACK_CONTROL to the script stack that started it")
	}
	return func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), script, args...).CombinedOutput(); err != nil {
			t.Errorf("%s %v: %v: %s", script, args, err, out)
		}
	}
}
