// Package eventstest is the conformance and benchmark suite of postrider.EventLog. Every engine passes it by calling Run.
package eventstest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// Harness is a log that is empty, with what differs among engines.
type Harness struct {
	Log postrider.EventLog

	// Reopen ends the log as a crash would, as far as the engine lets a test do so, and opens it again. The Log of before
	// is not used any more.
	Reopen func(t *testing.T) postrider.EventLog

	// LargeBytes is the size of the largest payload that is tried. 0: 10 MiB, or what Limits allows.
	LargeBytes int
}

// patience bounds what a test waits for; nothing that passes comes near it.
const patience = 60 * time.Second

// Run holds an engine against the contract. open is called once a subtest.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Harness){
		"AppendThenRead":        testAppendThenRead,
		"BytesAreUntouched":     testBytesAreUntouched,
		"LargePayload":          testLargePayload,
		"TooLarge":              testTooLarge,
		"ReadRange":             testReadRange,
		"ReadNothing":           testReadNothing,
		"OrderInAPartition":     testOrderInAPartition,
		"UncommittedComeAgain":  testUncommittedComeAgain,
		"CommittedAreNotRead":   testCommittedAreNotRead,
		"NextIgnoresCommit":     testNextIgnoresCommit,
		"UncommittedAreBounded": testUncommittedAreBounded,
		"ExpireWhatWasRead":     testExpireWhatWasRead,
		"NextEndsWithContext":   testNextEndsWithContext,
		"NextAfterClose":        testNextAfterClose,
		"SameAfterReread":       testSameAfterReread,
		"ManyPublishers":        testManyPublishers,
		"Find":                  testFind,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// NewEvent makes an event with a payload of its own.
func NewEvent(tenant string, n int) *postrider.Event {
	body := fmt.Appendf(nil, `{"n": %d}`, n)
	return &postrider.Event{ID: fmt.Sprintf("evt_%d", n), Tenant: tenant, Type: "core.orders.created", ContentType: "application/json",
		Trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Payload: postrider.Payload{Size: int64(len(body)), Bytes: body}}
}

// withBody makes an event with a payload.
func withBody(n int, body []byte) *postrider.Event {
	e := NewEvent("acme", n)
	e.Payload = postrider.Payload{Size: int64(len(body)), Bytes: body}
	return e
}

func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func appendAll(t *testing.T, log postrider.EventLog, events ...*postrider.Event) {
	t.Helper()
	ctx := patient(t)
	commit, err := log.Append(ctx, events)
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	if err := commit.Wait(ctx); err != nil {
		t.Fatalf("append: commit: %v", err)
	}
}

func reader(t *testing.T, log postrider.EventLog) postrider.EventReader {
	t.Helper()
	r, err := log.Reader(patient(t))
	if err != nil {
		t.Fatalf("reader: %v", err)
	}
	return r
}

// collect reads until n events are there.
func collect(t *testing.T, r postrider.EventReader, n int, each func(*postrider.EventBatch)) []*postrider.Event {
	t.Helper()
	ctx := patient(t)
	var events []*postrider.Event
	for len(events) < n {
		b, err := r.Next(ctx)
		if postrider.CodeOf(err) == postrider.CodeUnavailable {
			continue
		}
		if err != nil {
			t.Fatalf("next: %v, after %d of %d events", err, len(events), n)
		}
		if b.Partition == "" || b.End == "" {
			t.Errorf("a batch names no partition or no end: %+v", b)
		}
		events = append(events, b.Events...)
		if each != nil {
			each(b)
		}
	}
	if len(events) > n {
		t.Fatalf("%d events, want %d", len(events), n)
	}
	return events
}

// same compares what a log must keep of an event.
func same(t *testing.T, got, want *postrider.Event) {
	t.Helper()
	if got.ID != want.ID || got.Tenant != want.Tenant || got.Type != want.Type || got.ContentType != want.ContentType || got.Trace != want.Trace {
		t.Errorf("event %+v, want %+v", got, want)
	}
	if !got.AcceptedAt.Equal(want.AcceptedAt) || got.Position != want.Position {
		t.Errorf("event %s accepted at %v at position %q, want %v at %q", got.ID, got.AcceptedAt, got.Position, want.AcceptedAt, want.Position)
	}
	if got.Payload.Size != want.Payload.Size {
		t.Errorf("event %s has size %d, want %d", got.ID, got.Payload.Size, want.Payload.Size)
	}
	if got.Payload.InHand() && !bytes.Equal(got.Payload.Bytes, want.Payload.Bytes) {
		t.Errorf("event %s: the payload differs", got.ID)
	}
}

func testAppendThenRead(t *testing.T, h Harness) {
	events := []*postrider.Event{NewEvent("acme", 1), NewEvent("globex", 2)}
	appendAll(t, h.Log, events...)
	if events[0].Position == events[1].Position {
		t.Errorf("two events at position %q", events[0].Position)
	}
	for _, e := range events {
		if e.Position == "" || e.AcceptedAt.IsZero() || e.AcceptedAt != e.AcceptedAt.Truncate(time.Millisecond).UTC() {
			t.Fatalf("after the commit: position %q, accepted at %v", e.Position, e.AcceptedAt)
		}
		got, err := h.Log.Read(patient(t), e.Position)
		if err != nil {
			t.Fatalf("read %s: %v", e.Position, err)
		}
		if !got.Payload.InHand() {
			t.Errorf("read %s: the bytes are not in hand", e.Position)
		}
		same(t, got, e)
	}
}

func testBytesAreUntouched(t *testing.T, h Harness) {
	bodies := [][]byte{{}, {0}, {0xff, 0xfe, 0x00}, []byte("\r\n\x00\"'"), bytes.Repeat([]byte{0xc3}, 1000), random(70_000)}
	for i, body := range bodies {
		e := withBody(i, body)
		appendAll(t, h.Log, e)
		got, err := h.Log.Read(patient(t), e.Position)
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		if !got.Payload.InHand() || !bytes.Equal(got.Payload.Bytes, body) || got.Payload.Size != int64(len(body)) {
			t.Errorf("payload %d of %d bytes came back as %d bytes, size %d", i, len(body), len(got.Payload.Bytes), got.Payload.Size)
		}
	}
}

func random(n int) []byte {
	body := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = rng.Read(body)
	return body
}

func testLargePayload(t *testing.T, h Harness) {
	size := h.LargeBytes
	if size == 0 {
		size = 10 << 20
	}
	if limit := h.Log.Limits().MaxBytes; limit > 0 {
		size = min(size, int(limit))
	}
	body := random(size)
	digest := sha256.Sum256(body)
	e := withBody(1, body)
	appendAll(t, h.Log, e)
	log := h.Reopen(t)
	got, err := log.Read(patient(t), e.Position)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	if sha256.Sum256(got.Payload.Bytes) != digest {
		t.Errorf("a payload of %d bytes came back changed", size)
	}
	r := reader(t, log)
	defer r.Close()
	read := collect(t, r, 1, nil)[0]
	if !read.Payload.InHand() && !read.Payload.Log {
		t.Error("the reader's event has its bytes neither in hand nor in the log")
	}
}

func testTooLarge(t *testing.T, h Harness) {
	limit := h.Log.Limits().MaxBytes
	if limit <= 0 || limit > 64<<20 {
		t.Skipf("the log takes %d bytes", limit)
	}
	_, err := h.Log.Append(patient(t), []*postrider.Event{NewEvent("acme", 1), withBody(2, make([]byte, limit+1))})
	if postrider.CodeOf(err) != postrider.CodeTooLarge {
		t.Fatalf("append of %d bytes: %v", limit+1, err)
	}
	appendAll(t, h.Log, NewEvent("acme", 3))
	r := reader(t, h.Log)
	defer r.Close()
	if got := collect(t, r, 1, nil)[0]; got.ID != "evt_3" {
		t.Errorf("%s was added with one that was refused", got.ID)
	}
}

func testReadRange(t *testing.T, h Harness) {
	var events []*postrider.Event
	for n := range 20 {
		events = append(events, NewEvent("acme", n))
	}
	appendAll(t, h.Log, events...)
	byPartition := map[string][]*postrider.Event{}
	r := reader(t, h.Log)
	defer r.Close()
	collect(t, r, len(events), func(b *postrider.EventBatch) {
		byPartition[b.Partition] = append(byPartition[b.Partition], b.Events...)
	})
	for partition, want := range byPartition {
		first, last := want[0].Position, want[len(want)-1].Position
		got, err := h.Log.ReadRange(patient(t), first, last, len(want))
		if err != nil {
			t.Fatalf("partition %s: %v", partition, err)
		}
		if len(got) != len(want) {
			t.Fatalf("partition %s: %d events, want %d", partition, len(got), len(want))
		}
		for i := range got {
			same(t, got[i], want[i])
		}
		if got, err = h.Log.ReadRange(patient(t), first, last, 1); err != nil || len(got) != 1 || got[0].Position != first {
			t.Errorf("partition %s with limit 1: %d events, %v", partition, len(got), err)
		}
	}
}

func testReadNothing(t *testing.T, h Harness) {
	for _, p := range []postrider.Position{"", "nowhere", "-1", "0:0:0:0:x"} {
		if _, err := h.Log.Read(patient(t), p); postrider.CodeOf(err) != postrider.CodeNotFound {
			t.Errorf("read %q: %v, want not found", p, err)
		}
	}
}

func testNextEndsWithContext(t *testing.T, h Harness) {
	r := reader(t, h.Log)
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := r.Next(ctx)
		done <- err
	}()
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("next: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("next does not end with its context")
	}
}

func testNextAfterClose(t *testing.T, h Harness) {
	r := reader(t, h.Log)
	if err := r.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	if _, err := r.Next(patient(t)); postrider.CodeOf(err) != postrider.CodeGone {
		t.Errorf("next after close: %v", err)
	}
}
