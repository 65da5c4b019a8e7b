package postrider

import (
	"context"
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

	// Get returns a payload; the bytes are the caller's. CodeNotFound if there is none under the key; any other error
	// means that the store did not answer, not that the payload is lost.
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
