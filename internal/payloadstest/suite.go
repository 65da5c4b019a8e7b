// Package payloadstest is the conformance and benchmark suite of postrider.PayloadStore. Every engine passes it by calling
// Run.
package payloadstest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// Harness is a store that is empty, with what differs among engines.
type Harness struct {
	Store  postrider.PayloadStore
	Reopen func(t *testing.T) postrider.PayloadStore // as after a crash

	// Now is the store's clock; nil: time.Now. Grain is how finely it tells ages; 0: a millisecond.
	Now   func() time.Time
	Grain time.Duration
	// ExpiresItself says that the store removes what is old by a rule of its own.
	ExpiresItself bool
}

const patience = 60 * time.Second

// Run holds an engine against the contract. open is called once a subtest.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Harness){
		"PutGet":        testPutGet,
		"Sizes":         testSizes,
		"Missing":       testMissing,
		"BadKey":        testBadKey,
		"PutAgain":      testPutAgain,
		"PutAtOnce":     testPutAtOnce,
		"SurvivesCrash": testSurvivesCrash,
		"BytesAreOwned": testBytesAreOwned,
		"Expire":        testExpire,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func put(t *testing.T, s postrider.PayloadStore, key string, body []byte) {
	t.Helper()
	if err := s.Put(patient(t), key, body); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

func get(t *testing.T, s postrider.PayloadStore, key string) []byte {
	t.Helper()
	body, err := s.Get(patient(t), key)
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	return body
}

func random(n int) []byte {
	body := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(body)
	return body
}

func testPutGet(t *testing.T, h Harness) {
	put(t, h.Store, "acme/2026-01-01/a=b_c.d-e", []byte("\x00\xffhello"))
	if got := get(t, h.Store, "acme/2026-01-01/a=b_c.d-e"); string(got) != "\x00\xffhello" {
		t.Errorf("got %q", got)
	}
}

func testSizes(t *testing.T, h Harness) {
	for _, size := range []int{0, 1, 64 << 10, 64<<10 + 1, 256 << 10, 256<<10 + 1, 10<<20 + 7} {
		key, body := fmt.Sprintf("size/%d", size), random(size)
		put(t, h.Store, key, body)
		got := get(t, h.Store, key)
		if got == nil || sha256.Sum256(got) != sha256.Sum256(body) {
			t.Errorf("%d bytes came back as %d, or changed", size, len(got))
		}
	}
}

func testMissing(t *testing.T, h Harness) {
	if _, err := h.Store.Get(patient(t), "not/there"); postrider.CodeOf(err) != postrider.CodeNotFound {
		t.Errorf("get: %v", err)
	}
}

func testBadKey(t *testing.T, h Harness) {
	for _, key := range []string{"", "a b", "ü", "a\x00", strings.Repeat("k", 513)} {
		if err := h.Store.Put(patient(t), key, nil); postrider.CodeOf(err) != postrider.CodeInvalid {
			t.Errorf("put %q: %v", key, err)
		}
	}
}

func testPutAgain(t *testing.T, h Harness) {
	for range 3 {
		put(t, h.Store, "again", random(300<<10))
	}
	if !bytes.Equal(get(t, h.Store, "again"), random(300<<10)) {
		t.Error("the payload changed")
	}
}

func testPutAtOnce(t *testing.T, h Harness) {
	body := random(100 << 10)
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			if err := h.Store.Put(t.Context(), "at/once", body); err != nil {
				t.Errorf("put: %v", err)
			}
		})
	}
	work.Wait()
	if !bytes.Equal(get(t, h.Store, "at/once"), body) {
		t.Error("the payload changed")
	}
}

func testSurvivesCrash(t *testing.T, h Harness) {
	small, large := random(100), random(1<<20)
	put(t, h.Store, "small", small)
	put(t, h.Store, "large", large)
	s := h.Reopen(t)
	if !bytes.Equal(get(t, s, "small"), small) || !bytes.Equal(get(t, s, "large"), large) {
		t.Error("a payload changed")
	}
	put(t, s, "after", large)
	if !bytes.Equal(get(t, s, "large"), large) || !bytes.Equal(get(t, s, "after"), large) {
		t.Error("a payload changed after another was put")
	}
}

func testBytesAreOwned(t *testing.T, h Harness) {
	body := []byte("mine")
	put(t, h.Store, "owned", body)
	body[0] = 'X'
	got := get(t, h.Store, "owned")
	if string(got) != "mine" {
		t.Errorf("got %q", got)
	}
	got[0] = 'Y'
	if again := get(t, h.Store, "owned"); string(again) != "mine" {
		t.Errorf("then %q", again)
	}
}

func testExpire(t *testing.T, h Harness) {
	if h.ExpiresItself {
		t.Skip("the store expires by itself")
	}
	now := h.Now
	if now == nil {
		now = time.Now
	}
	grain := max(h.Grain, time.Millisecond)
	put(t, h.Store, "old/small", random(10))
	put(t, h.Store, "old/large", random(1<<20))
	<-time.After(2 * grain) // the store's own clock must go on by as much as it tells apart
	between := now().Truncate(grain)
	<-time.After(2 * grain)
	put(t, h.Store, "new", random(10))
	n, err := h.Store.Expire(patient(t), between)
	if err != nil || n != 2 {
		t.Errorf("expired %d, %v; want 2", n, err)
	}
	for _, key := range []string{"old/small", "old/large"} {
		if _, err := h.Store.Get(patient(t), key); postrider.CodeOf(err) != postrider.CodeNotFound {
			t.Errorf("get %s: %v", key, err)
		}
	}
	get(t, h.Store, "new")
	if n, err := h.Store.Expire(patient(t), between); err != nil || n != 0 {
		t.Errorf("then expired %d, %v", n, err)
	}
}

// Benchmark measures puts and gets of 100 KiB.
func Benchmark(b *testing.B, open func(b *testing.B) postrider.PayloadStore) {
	s := open(b)
	body := random(100 << 10)
	b.SetBytes(int64(len(body)))
	for n := range b.N {
		key := fmt.Sprintf("bench/%d", n)
		if err := s.Put(b.Context(), key, body); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Get(b.Context(), key); err != nil {
			b.Fatal(err)
		}
	}
}
