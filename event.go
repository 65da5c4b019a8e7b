package postrider

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"mime"
	"strings"
	"time"
)

// Limits of an event.
const (
	MaxEventIDLength     = 128
	MaxContentTypeLength = 256
	DefaultContentType   = "application/json"
)

// Position is where an event lies in its log. It is opaque to all but the engine that gave it; the API shows it as it
// is. Positions of one partition are ordered by the engine only.
type Position string

// Event is what an application published.
//
// An Event is not changed after it was handed on; several goroutines may read it.
type Event struct {
	ID          string
	Tenant      string
	Type        string
	ContentType string    // "" is DefaultContentType
	AcceptedAt  time.Time // the log's timestamp, in whole milliseconds, UTC
	Position    Position  // "" until the log has given one
	Trace       string    // see TraceContext; "" if there is none
	Payload     Payload
}

// Payload says where an event's bytes are. A durable reference is one of three: Key, Log, or else Bytes itself. Bytes may
// be set besides Key or Log, as a copy in hand; it is then left out when the reference is stored.
type Payload struct {
	Size  int64
	Bytes []byte // in hand; nil if they must be fetched, not nil though empty for an empty payload in hand
	Key   string // in the payload store under this key
	Log   bool   // in the events log at the event's position
}

// InHand reports whether the bytes are here.
func (p *Payload) InHand() bool { return p.Bytes != nil }

// Inline reports whether the bytes are the only reference.
func (p *Payload) Inline() bool { return p.Key == "" && !p.Log }

// CheckEventID refuses what is no event id: [A-Za-z0-9_:@=+/-]{1,128}. A dot is not allowed, since Standard Webhooks
// signs "id.timestamp.body".
func CheckEventID(id string) error {
	if !within(id, MaxEventIDLength, isEventIDByte) {
		return Invalid("id", "%q is no event id: use 1 to %d of A-Z a-z 0-9 _ : @ = + / -", clip(id), MaxEventIDLength)
	}
	return nil
}

func isEventIDByte(c byte) bool { return isAlnum(c) || strings.IndexByte("_:@=+/-", c) >= 0 }

// CheckContentType refuses what is no media type (RFC 9110, 8.3.1), over 256 characters, or with bytes other than printable
// ASCII. "" stands for the default and is allowed.
func CheckContentType(contentType string) error {
	if contentType == "" {
		return nil
	}
	printable := func(c byte) bool { return ' ' <= c && c < 0x7f }
	if !within(contentType, MaxContentTypeLength, printable) || strings.TrimSpace(contentType) != contentType {
		return Invalid("contentType", "must be at most %d printable ASCII characters, without blanks at its ends", MaxContentTypeLength)
	}
	if media, _, err := mime.ParseMediaType(contentType); err != nil || !strings.Contains(media, "/") {
		return Invalid("contentType", "%q is no media type: use one such as application/json", clip(contentType))
	}
	return nil
}

// DerivedEventID is the id of an event whose producer gave none: a hash of where it lies, so that a re-read gives the
// same id.
func DerivedEventID(topic string, partition int32, offset int64, at time.Time) string {
	h := sha256.New()
	h.Write([]byte(topic))
	var tail [21]byte
	binary.BigEndian.PutUint32(tail[1:], uint32(partition))
	binary.BigEndian.PutUint64(tail[5:], uint64(offset))
	binary.BigEndian.PutUint64(tail[13:], uint64(at.UnixMilli()))
	h.Write(tail[:])
	return "evt_" + base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18])
}
