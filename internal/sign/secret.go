package sign

import (
	"crypto/rand"
	"encoding/base64"
	"strings"

	"github.com/postrider/postrider"
)

// Limits of a secret, in bytes. Those made here have SecretSize; Standard Webhooks allows from 24 to 64.
const (
	SecretSize    = 32
	minSecretSize = 24
	maxSecretSize = 64
	secretPrefix  = "whsec_"
)

// NewSecret makes a secret: its bytes, and the form that is shown once, "whsec_" and base64.
func NewSecret() (raw []byte, shown string) {
	raw = make([]byte, SecretSize)
	_, _ = rand.Read(raw) // never fails: the program ends if the system has no randomness
	return raw, Show(raw)
}

// Show is the form of a secret that people copy.
func Show(raw []byte) string { return secretPrefix + base64.StdEncoding.EncodeToString(raw) }

// ParseSecret reads what Show wrote; the prefix may be missing. The error is a CodeInvalid for the field "secret" and does
// not repeat what was given.
func ParseSecret(shown string) ([]byte, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(shown, secretPrefix))
	if err != nil || strings.ContainsAny(shown, "\r\n") {
		return nil, postrider.Invalid("secret", "is no secret: use %s and base64", secretPrefix)
	}
	if len(raw) < minSecretSize || len(raw) > maxSecretSize {
		return nil, postrider.Invalid("secret", "has %d bytes; it must have %d to %d", len(raw), minSecretSize, maxSecretSize)
	}
	return raw, nil
}
