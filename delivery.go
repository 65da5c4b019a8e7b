package postrider

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"time"
)

// State is where a delivery stands.
type State string

// The states. The last three are final.
const (
	StatePending   State = "pending"  // in the fan-out, no attempt yet
	StateRetrying  State = "retrying" // the last attempt failed, another one follows
	StateDeferred  State = "deferred" // not final, and its target is on hold; derived at read, never stored
	StateDelivered State = "delivered"
	StateExhausted State = "exhausted" // given up; see Reason
	StateCancelled State = "cancelled" // no longer wanted; see Reason
)

// Final reports whether nothing follows but a replay.
func (s State) Final() bool {
	return s == StateDelivered || s == StateExhausted || s == StateCancelled
}

// ParseState refuses what is no state.
func ParseState(s string) (State, error) {
	switch st := State(s); st {
	case StatePending, StateRetrying, StateDeferred, StateDelivered, StateExhausted, StateCancelled:
		return st, nil
	}
	return "", Invalid("state", "%q is no state: use pending, retrying, deferred, delivered, exhausted or cancelled", clip(s))
}

// Reason says why a delivery is exhausted or cancelled.
type Reason string

// The reasons: of exhausted, then of cancelled.
const (
	ReasonWindow        Reason = "window"       // the retry window ended
	ReasonHeld          Reason = "held"         // unproven or over its limits to the window's end, so never attempted
	ReasonInternal      Reason = "internal"     // kept killing its dispatcher
	ReasonPayloadLost   Reason = "payload_lost" // the payload is in neither store nor log
	ReasonTargetOff     Reason = "target_off"
	ReasonTargetDeleted Reason = "target_deleted"
	ReasonUnsubscribed  Reason = "unsubscribed" // no active subscription of the target matches the type any more
	ReasonAborted       Reason = "aborted"      // the receiver asked for it
)

// DeliveryID names a delivery: the event's acceptance in milliseconds (48 bits), then a hash of tenant, event id,
// position and target id. A re-read gives the same id, and ids are ordered by time.
type DeliveryID [16]byte

const deliveryIDPrefix = "dlv_"

var deliveryIDEncoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// NewDeliveryID makes the id of the delivery of an event, which must have its position, to a target.
func NewDeliveryID(e *Event, targetID int64) DeliveryID {
	var id DeliveryID
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(e.AcceptedAt.UnixMilli(), 0)))
	copy(id[:6], ms[2:])
	buf := make([]byte, 0, 256)
	for _, part := range [...]string{e.Tenant, e.ID, string(e.Position)} {
		buf = append(binary.AppendUvarint(buf, uint64(len(part))), part...)
	}
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(buf, uint64(targetID)))
	copy(id[6:], sum[:])
	return id
}

// FirstDeliveryID is the least id of a delivery accepted at or after a time: the bound of a search by time.
func FirstDeliveryID(at time.Time) DeliveryID {
	var id DeliveryID
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(at.UnixMilli(), 0)))
	copy(id[:6], ms[2:])
	return id
}

// String is "dlv_" and 26 characters whose order is the order of the ids.
func (id DeliveryID) String() string {
	return deliveryIDPrefix + deliveryIDEncoding.EncodeToString(id[:])
}

// AcceptedAt is the acceptance time in the id, in whole milliseconds.
func (id DeliveryID) AcceptedAt() time.Time {
	var ms [8]byte
	copy(ms[2:], id[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(ms[:]))).UTC()
}

// ParseDeliveryID reads what String wrote. Anything else is a CodeNotFound, since no delivery has that id.
func ParseDeliveryID(s string) (DeliveryID, error) {
	var id DeliveryID
	rest, ok := strings.CutPrefix(s, deliveryIDPrefix)
	if !ok || len(rest) != 26 {
		return id, Errorf(CodeNotFound, "there is no such delivery")
	}
	raw, err := deliveryIDEncoding.DecodeString(rest)
	if err != nil || len(raw) != len(id) || deliveryIDEncoding.EncodeToString(raw) != rest {
		return id, Errorf(CodeNotFound, "there is no such delivery")
	}
	copy(id[:], raw)
	return id, nil
}

// Delivery is one event for one target, as it travels through the queue. It carries ids, never URLs or secrets, so that
// a changed target holds for what waits too.
type Delivery struct {
	ID         DeliveryID
	Event      *Event // shared among the deliveries of a pack
	TargetID   int64
	Version    uint64    // of the cache that it was matched, or replayed, at; an older cache never judges it
	Attempts   int       // made so far, in all generations
	Generation int       // replays so far
	Earlier    int       // attempts made before this generation
	Start      time.Time // of the retry window, not clamped: the acceptance, or the replay
	Due        time.Time // not to be sent before; zero: at once
	LastTry    time.Time // start of the last attempt; zero: none
}
