package sign

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider"
)

// Tolerance is how far a message's timestamp may be from the receiver's clock.
const Tolerance = 5 * time.Minute

// maxSignatures bounds the work that one header can ask for.
const maxSignatures = 32

// Verify checks a received message: one of the keys has signed it, and its timestamp is within Tolerance of now. The error
// is a CodeUnauthorized that says what is wrong.
func Verify(keys []*Key, header http.Header, body []byte, now time.Time) error {
	id, timestamp := header.Get(HeaderID), header.Get(HeaderTimestamp)
	if id == "" || timestamp == "" || header.Get(HeaderSignature) == "" {
		return postrider.Errorf(postrider.CodeUnauthorized, "the message is not signed: webhook-id, webhook-timestamp or webhook-signature is missing")
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return postrider.Errorf(postrider.CodeUnauthorized, "webhook-timestamp is no number of seconds")
	}
	if seconds < now.Add(-Tolerance).Unix() || seconds > now.Add(Tolerance).Unix() {
		return postrider.Errorf(postrider.CodeUnauthorized, "webhook-timestamp is more than %v from now", Tolerance)
	}
	if !matches(keys, appendHead(nil, id, timestamp), body, header.Get(HeaderSignature)) {
		return postrider.Errorf(postrider.CodeUnauthorized, "no signature matches")
	}
	return nil
}

// matches reports whether any of the signatures is that of any of the keys.
func matches(keys []*Key, head, body []byte, signatures string) bool {
	sums := make([][]byte, len(keys))
	for i, k := range keys {
		sums[i] = k.sum(make([]byte, 0, sha256.Size), head, body)
	}
	for i, signature := range strings.SplitN(signatures, " ", maxSignatures+1) {
		encoded, ok := strings.CutPrefix(signature, scheme)
		if !ok || i == maxSignatures {
			continue
		}
		given, err := base64.StdEncoding.DecodeString(encoded)
		for _, sum := range sums {
			if err == nil && hmac.Equal(given, sum) {
				return true
			}
		}
	}
	return false
}
