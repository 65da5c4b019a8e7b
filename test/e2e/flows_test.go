package e2e

import (
	"testing"

	"github.com/postrider/postrider/test/flows"
	"github.com/postrider/postrider/test/harness"
)

// TestFlows runs each flow on a system of its own.
func TestFlows(t *testing.T) {
	t.Parallel()
	for name, flow := range flows.All() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flow.Drive(t, harness.Start(t, t.TempDir(), flow.Settings...))
		})
	}
}
