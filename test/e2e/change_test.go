package e2e

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/postrider/postrider/test/harness"
)

func contains(body []byte, text string) bool { return bytes.Contains(body, []byte(text)) }

func TestPrivateAddressesAreRefused(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, t.TempDir())
	r := harness.NewReceiver(t, nil)
	for _, url := range []string{r.URL, "http://127.1/", "http://[::1]/", "http://169.254.169.254/latest", "http://10.0.0.1/"} {
		s.Do(t, http.StatusUnprocessableEntity, http.MethodPost, "/webhooks/targets", map[string]any{"url": url}, nil)
	}
	allowed := harness.Start(t, t.TempDir(), "--allow-targets", "127.0.0.0/8")
	target := allowed.TargetWith(t, map[string]any{"url": r.URL})
	allowed.Subscribe(t, target.ID, []string{"*"})
	allowed.AwaitState(t, allowed.Publish(t, "a.b", []byte("x")), target.ID, "delivered")
}
