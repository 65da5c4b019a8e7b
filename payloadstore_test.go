package postrider_test

import (
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// The key of a payload is part of what a later version must find again, so it stands here.
func TestPayloadKey(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	e := postrider.Event{ID: "evt_1", Tenant: "acme", Type: "a.b", AcceptedAt: at, Position: "0-7", Payload: postrider.Payload{Size: 3, Bytes: []byte("abc")}}
	key := postrider.PayloadKey(&e)
	if want := "acme/2026-01-02/"; key[:len(want)] != want || postrider.CheckPayloadKey(key) != nil {
		t.Errorf("key %q", key)
	}
	same := e // as it comes out of a queue
	same.AcceptedAt, same.Payload.Bytes = at.In(time.FixedZone("", 3600)), nil
	if other := postrider.PayloadKey(&same); other != key {
		t.Errorf("the same event has the keys %q and %q", key, other)
	}
	for name, change := range map[string]func(*postrider.Event){
		"tenant": func(e *postrider.Event) { e.Tenant = "other" }, "id": func(e *postrider.Event) { e.ID = "evt_2" },
		"position": func(e *postrider.Event) { e.Position = "0-8" }, "size": func(e *postrider.Event) { e.Payload.Size = 4 },
		"time": func(e *postrider.Event) { e.AcceptedAt = at.Add(time.Millisecond) },
	} {
		other := e
		change(&other)
		if postrider.PayloadKey(&other) == key {
			t.Errorf("another %s, the same key", name)
		}
	}
	unplaced := e
	unplaced.Position = ""
	different := unplaced
	different.Payload.Bytes = []byte("abd")
	if postrider.PayloadKey(&unplaced) == postrider.PayloadKey(&different) {
		t.Error("without a position, other bytes have the same key")
	}
}
