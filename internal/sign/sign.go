// Package sign signs and verifies messages by Standard Webhooks (https://www.standardwebhooks.com), version v1:
// HMAC-SHA256 over "id.timestamp.body", in base64.
//
// Event ids hold no dot, so the signed text reads one way only.
package sign

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"strconv"
	"time"
)

// Names of the headers that carry what is signed.
const (
	HeaderID        = "Webhook-Id"
	HeaderTimestamp = "Webhook-Timestamp"
	HeaderSignature = "Webhook-Signature"
)

const (
	scheme     = "v1,"
	signLength = len(scheme) + 44 // 32 bytes in base64
)

// Key is a secret that is ready to sign: the first block of each hash is computed once, not for every message. It is safe
// for concurrent use.
type Key struct {
	base hash.Cloner // an HMAC that nothing was written to
}

// NewKey makes a Key of the raw bytes of a secret (ParseSecret). It keeps no reference to them.
func NewKey(raw []byte) *Key {
	mac := hmac.New(sha256.New, raw)
	mac.Reset() // makes the HMAC keep the states that clones begin with
	base, ok := mac.(hash.Cloner)
	if !ok {
		panic("sign: crypto/hmac does not clone")
	}
	return &Key{base: base}
}

// sum is the MAC of a message whose id and timestamp are in head, with their dots.
func (k *Key) sum(dst, head, body []byte) []byte {
	mac, err := k.base.Clone()
	if err != nil {
		panic("sign: " + err.Error()) // SHA-256 always clones
	}
	_, _ = mac.Write(head) // a hash never fails to write
	_, _ = mac.Write(body)
	return mac.Sum(dst)
}

// Message signs a message with each key, in their order: the newest first. It returns the values of webhook-timestamp and
// webhook-signature. Without keys the signature is "".
func Message(keys []*Key, id string, at time.Time, body []byte) (timestamp, signature string) {
	timestamp = strconv.FormatInt(at.Unix(), 10)
	head := appendHead(make([]byte, 0, 192), id, timestamp)
	out := make([]byte, 0, len(keys)*(signLength+1))
	var sum [sha256.Size]byte
	for i, k := range keys {
		if i > 0 {
			out = append(out, ' ')
		}
		out = base64.StdEncoding.AppendEncode(append(out, scheme...), k.sum(sum[:0], head, body))
	}
	return timestamp, string(out)
}

// Headers is Message for raw secrets.
func Headers(secrets [][]byte, id string, at time.Time, body []byte) (timestamp, signature string) {
	keys := make([]*Key, len(secrets))
	for i, secret := range secrets {
		keys[i] = NewKey(secret)
	}
	return Message(keys, id, at, body)
}

func appendHead(dst []byte, id, timestamp string) []byte {
	dst = append(append(dst, id...), '.')
	return append(append(dst, timestamp...), '.')
}
