package harness

import (
	"crypto/sha256"
	"math/rand/v2"
	"net/http"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Payload makes bytes that no codec may touch: any values, invalid UTF-8 included.
func Payload(seed uint64, size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}).Read(b)
	return b
}

// Verify fails the test if a message whose body was kept is not signed with a secret, by the published library.
func Verify(t *testing.T, m Message, secret string) {
	t.Helper()
	hook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := hook.Verify(m.Body, m.Header); err != nil {
		t.Errorf("message %s: %v", m.ID, err)
	}
}

// SameBytes fails the test if a message does not carry a payload.
func SameBytes(t *testing.T, m Message, want []byte) {
	t.Helper()
	if m.Digest != sha256.Sum256(want) {
		t.Errorf("message %s: %d bytes arrived, not the %d that were sent", m.ID, m.Size, len(want))
	}
}

// Statuses answers the first attempts with the statuses given, one after the other, then 200.
func Statuses(list ...int) func(*Message, http.ResponseWriter) int {
	return func(m *Message, _ http.ResponseWriter) int {
		if m.Attempt >= 1 && m.Attempt <= len(list) {
			return list[m.Attempt-1]
		}
		return http.StatusOK
	}
}
