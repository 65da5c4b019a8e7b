package stack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/postrider/postrider/test/harness"
)

// health is what each role must tell while the server is away: the one seam that it names, and whether it is ready all the same.
type health map[string]struct {
	names string
	ready bool
}

// awaitHealth waits until a role tells what it must, then holds it to that.
func (o *away) awaitHealth(t *testing.T, role string) {
	t.Helper()
	harness.Await(t, func() string {
		var told struct {
			Ready             bool
			Missing, Impaired map[string]string
		}
		a, err := o.processes[role].Call(t.Context(), http.MethodGet, "/readyz", nil)
		if err != nil {
			return err.Error()
		}
		if err := json.Unmarshal(a.Body, &told); err != nil {
			return err.Error()
		}
		var names []string
		for _, m := range []map[string]string{told.Missing, told.Impaired} {
			for name := range m {
				names = append(names, name)
			}
		}
		var want []string
		if w := o.want[role]; w.names != "" {
			want = []string{w.names}
		}
		if ready := a.Status == http.StatusOK; ready != o.want[role].ready || ready != told.Ready || !slices.Equal(names, want) {
			return fmt.Sprintf("%s answers %d: %s", role, a.Status, a.Body)
		}
		return ""
	})
}

// checkAPI sees what the API answers at the end of the outage: what it can tell, or that it can't.
func (o *away) checkAPI(t *testing.T) {
	t.Helper()
	for role := range o.want {
		o.awaitHealth(t, role) // still
	}
	want := http.StatusOK
	if !o.want["api"].ready {
		want = http.StatusServiceUnavailable
	}
	o.api().Do(t, want, http.MethodGet, "/webhooks/deliveries?limit=1", nil, nil)
}
