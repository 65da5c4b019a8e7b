// Package e2e holds black-box tests: they build the real binary and drive it through its public interface alone.
package e2e

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/postrider/postrider/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// fast are settings that let failed attempts be tried again soon.
var fast = []string{"--retry-base", "100ms", "--retry-max", "400ms"}

// payload makes bytes that no codec may touch: any values, invalid UTF-8 included.
func payload(seed uint64, size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b)
	return b
}

// verify fails the test if a message is not signed with a secret, by the published library.
func verify(t *testing.T, m harness.Message, secret string) {
	t.Helper()
	hook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := hook.Verify(m.Body, m.Header); err != nil {
		t.Errorf("message %s: %v", m.ID, err)
	}
}

// sameBytes fails the test if a message does not carry a payload.
func sameBytes(t *testing.T, m harness.Message, want []byte) {
	t.Helper()
	if m.Digest != sha256.Sum256(want) {
		t.Errorf("message %s: %d bytes arrived, not the %d that were sent", m.ID, m.Size, len(want))
	}
}

// statuses answers with the statuses given, one after the other, then 200.
func statuses(list ...int) func(*harness.Message, http.ResponseWriter) int {
	return func(m *harness.Message, _ http.ResponseWriter) int {
		if m.Attempt >= 1 && m.Attempt <= len(list) {
			return list[m.Attempt-1]
		}
		return http.StatusOK
	}
}

func path(format string, args ...any) string { return fmt.Sprintf(format, args...) }
