package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/postrider/postrider/test/harness"
)

// TestReadinessSaysNoBeforeIntakeDoes stops a server that gives balancers time. A second signal ends it at once.
func TestReadinessSaysNoBeforeIntakeDoes(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, t.TempDir(), "--drain-delay", "10m")
	s.Signal(syscall.SIGTERM)
	harness.Await(t, func() string {
		a, err := s.Call(t.Context(), http.MethodGet, "/readyz", nil)
		if err != nil || a.Status != http.StatusServiceUnavailable || !strings.Contains(string(a.Body), "stopping") {
			return fmt.Sprintf("readiness says %d %s (%v)", a.Status, a.Body, err)
		}
		return ""
	})
	s.Publish(t, "a.b", []byte("{}"))
	s.Signal(syscall.SIGTERM)
	if status := s.WaitExit(t); status != 1 {
		t.Errorf("exit status %d after a second signal", status)
	}
}
