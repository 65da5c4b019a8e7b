package e2e

import (
	"net/http"
	"testing"

	"github.com/postrider/postrider/test/harness"
)

func TestHealthMetricsOpenAPI(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, t.TempDir(), "--base-path", "/hooks", "--metrics-listen", "127.0.0.1:0")
	for path, want := range map[string]int{
		"/healthz": 200, "/readyz": 200, "/hooks/openapi.json": 200, "/hooks/docs": 200, "/hooks/webhooks/targets": 401, "/metrics": 404, "/webhooks/targets": 404,
	} {
		a, err := s.Call(t.Context(), http.MethodGet, path, nil, "Authorization: ")
		if err != nil || a.Status != want {
			t.Errorf("%s: got %d, want %d (%v)", path, a.Status, want, err)
		}
	}
	plain := harness.Start(t, t.TempDir())
	a := plain.Do(t, http.StatusOK, http.MethodGet, "/metrics", nil, nil, "Authorization: ")
	if !contains(a.Body, "postrider_") || !contains(a.Body, "go_goroutines") {
		t.Error("the metrics lack those of the system or of the process")
	}
}
