package postrider

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"
)

// PayloadStore is the seam of payloads that do not travel inline (a claim check). Engines: sqlite, s3. Suite:
// internal/payloadstest.
//
// All methods are safe for concurrent use.
type PayloadStore interface {
	// Put stores a payload under a key (CheckPayloadKey) and returns once it is durable. A key
	// stands for one payload for ever: putting it again is cheap and changes nothing but its age, which begins anew where
	// the store can. The bytes stay the caller's.
	Put(ctx context.Context, key string, payload []byte) error

	// Get returns a payload; the bytes are the caller's. CodeNotFound if there is none under the key; CodeMalformed if what
	// is there is not what was put (a checksum differs); any other error means that the store did not answer, not that the
	// payload is lost.
	Get(ctx context.Context, key string) ([]byte, error)

	// Expire removes payloads put before a time, in steps that hold nothing up, and returns how many. A store that
	// expires by itself (a lifecycle rule) removes nothing and returns 0.
	Expire(ctx context.Context, before time.Time) (int, error)

	// Close ends the store.
	Close() error
}

// MaxPayloadKey is the most characters that the key of a stored payload has.
const MaxPayloadKey = 512

// CheckPayloadKey refuses what is no key of a stored payload: [A-Za-z0-9/_=.-]{1,512}.
func CheckPayloadKey(key string) error {
	ok := func(c byte) bool { return isAlnum(c) || strings.IndexByte("/_=.-", c) >= 0 }
	if !within(key, MaxPayloadKey, ok) {
		return Errorf(CodeInvalid, "%q is no key of a payload: use 1 to %d of A-Z a-z 0-9 / _ = . -", clip(key), MaxPayloadKey)
	}
	return nil
}

// PayloadKey is the key under which an event's payload is stored: the same wherever it is made, so that a payload is stored
// once whoever stores it, and on a re-read of the event. A log that began anew, and repeats an id at a position, gives another
// key, since time or size differ. An event that has no position must have its payload in hand: the key then names the bytes.
func PayloadKey(e *Event) string {
	var b []byte
	for _, part := range [...]string{e.Tenant, e.ID, string(e.Position)} {
		b = append(binary.AppendUvarint(b, uint64(len(part))), part...)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(e.AcceptedAt.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Payload.Size))
	if e.Position == "" {
		bytes := sha256.Sum256(e.Payload.Bytes)
		b = append(b, bytes[:]...)
	}
	sum := sha256.Sum256(b)
	return e.Tenant + "/" + e.AcceptedAt.UTC().Format(time.DateOnly) + "/" + base64.RawURLEncoding.EncodeToString(sum[:18])
}
