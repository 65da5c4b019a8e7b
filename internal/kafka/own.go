package kafka

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// own proves which events of a topic are Postrider's own: whoever may write to the topic could set a header, but has no key.
// A record that is copied as it stands proves true, and is the same event again.
type own struct {
	key []byte
}

// proof is an HMAC-SHA256 of what makes the event, each part behind its length.
func (o own) proof(eventType, tenant, id, contentType string, payload []byte) string {
	digest := sha256.Sum256(payload)
	mac := hmac.New(sha256.New, o.key)
	var length [8]byte
	for _, part := range []string{"postrider own event v1", eventType, tenant, id, contentType, string(digest[:])} {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		mac.Write(length[:])
		mac.Write([]byte(part))
	}
	return base64.RawStdEncoding.EncodeToString(mac.Sum(nil))
}

// proves reports whether a proof is right. Without a key none is.
func (o own) proves(proof, eventType, tenant, id, contentType string, payload []byte) bool {
	return len(o.key) > 0 && proof != "" && hmac.Equal([]byte(proof), []byte(o.proof(eventType, tenant, id, contentType, payload)))
}
