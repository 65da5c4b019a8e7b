// Package databasetest is the conformance and benchmark suite of postrider.Database. Every engine passes it by calling Run.
package databasetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// Instance is the name that the harness opens a database with.
const Instance = "test"

// Harness is a database that is empty, with what differs among engines.
type Harness struct {
	Database postrider.Database
	Reopen   func(t *testing.T) postrider.Database // as after a crash
}

const patience = 60 * time.Second

// Run holds an engine against the contract. open is called once a subtest.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Harness){
		"Target":               testTarget,
		"Filter":               testFilter,
		"Subscription":         testSubscription,
		"SubscriptionEnds":     testSubscriptionEnds,
		"Match":                testMatch,
		"NoChangeNoVersion":    testNoChangeNoVersion,
		"FailedChange":         testFailedChange,
		"Cascade":              testCascade,
		"Pages":                testPages,
		"BadCursor":            testBadCursor,
		"Isolation":            testIsolation,
		"Keys":                 testKeys,
		"SecretKey":            testSecretKey,
		"FeedIsDense":          testFeedIsDense,
		"FeedShowsEntities":    testFeedShowsEntities,
		"Load":                 testLoad,
		"Watch":                testWatch,
		"TurnOff":              testTurnOff,
		"SurvivesCrash":        testSurvivesCrash,
		"ArchiveOne":           testArchiveOne,
		"ArchiveIsIdempotent":  testArchiveIsIdempotent,
		"ArchivePosition":      testArchivePosition,
		"ArchiveAnyOrder":      testArchiveAnyOrder,
		"ArchiveTwins":         testArchiveTwins,
		"Generations":          testGenerations,
		"NewestEvent":          testNewestEvent,
		"DeliveryQueries":      testDeliveryQueries,
		"DeliveryPages":        testDeliveryPages,
		"Deferred":             testDeferred,
		"ExpireFinalOnly":      testExpireFinalOnly,
		"DeliveriesOfStranger": testDeliveriesOfStranger,
		"ArchiveLarge":         testArchiveLarge,
		"PagesOfQuestions":     testPagesOfQuestions,
		"OddOutcomes":          testOddOutcomes,
		"OddNames":             testOddNames,
		"ByEvent":              testByEvent,
		"HoldsByProcess":       testHoldsByProcess,
		"Replays":              testReplays,
		"ReplayAgain":          testReplayAgain,
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

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code postrider.Code) {
	t.Helper()
	if got := postrider.CodeOf(err); got != code {
		t.Errorf("error %v has code %q, want %q", err, got, code)
	}
}

func newTarget(t *testing.T, d postrider.Database, tenant string) *postrider.Target {
	t.Helper()
	target := &postrider.Target{Tenant: tenant, Name: "orders", URL: "https://example.com/hooks", SealedHeaders: []byte{1, 2},
		Retry: postrider.RetryPolicy{Base: time.Second, Max: time.Minute}, MaxInFlight: 3,
		Secrets: []postrider.Secret{{Sealed: []byte{0, 255}, CreatedAt: time.Now().UTC().Truncate(time.Second)}}}
	must(t, d.CreateTarget(patient(t), target))
	return target
}

func newFilter(t *testing.T, d postrider.Database, tenant string) *postrider.Filter {
	t.Helper()
	f := &postrider.Filter{Tenant: tenant, Events: []string{"core.orders.*", "*"}}
	must(t, d.CreateFilter(patient(t), f))
	return f
}

func newSubscription(t *testing.T, d postrider.Database, target *postrider.Target, filter *postrider.Filter) *postrider.Subscription {
	t.Helper()
	s := &postrider.Subscription{Tenant: target.Tenant, TargetID: target.ID, FilterID: filter.ID, Active: true}
	must(t, d.CreateSubscription(patient(t), s))
	return s
}

func testKeys(t *testing.T, h Harness) {
	d, ctx := h.Database, patient(t)
	k := &postrider.Key{Tenant: "acme", Name: "ci", Hash: sha256.Sum256([]byte("one"))}
	must(t, d.CreateKey(ctx, k))
	other := &postrider.Key{Tenant: "globex", Hash: sha256.Sum256([]byte("two"))}
	must(t, d.CreateKey(ctx, other))
	got, err := d.KeyByHash(ctx, k.Hash)
	must(t, err)
	if *got != *k {
		t.Errorf("got %+v, want %+v", got, k)
	}
	keys, err := d.Keys(ctx, "acme")
	must(t, err)
	if len(keys) != 1 || keys[0].ID != k.ID {
		t.Errorf("keys %+v", keys)
	}
	wantCode(t, d.DeleteKey(ctx, "acme", other.ID), postrider.CodeNotFound)
	must(t, d.DeleteKey(ctx, "acme", k.ID))
	_, err = d.KeyByHash(ctx, k.Hash)
	wantCode(t, err, postrider.CodeNotFound)
	wantCode(t, d.DeleteKey(ctx, "acme", k.ID), postrider.CodeNotFound)
}

func testSecretKey(t *testing.T, h Harness) {
	ctx := patient(t)
	must(t, h.Database.CheckSecretKey(ctx, [32]byte{1}))
	must(t, h.Database.CheckSecretKey(ctx, [32]byte{1}))
	d := h.Reopen(t)
	must(t, d.CheckSecretKey(ctx, [32]byte{1}))
	wantCode(t, d.CheckSecretKey(ctx, [32]byte{2}), postrider.CodeConflict)
}

func testSurvivesCrash(t *testing.T, h Harness) {
	target := newTarget(t, h.Database, "acme")
	d := h.Reopen(t)
	got, err := d.Target(patient(t), "acme", target.ID)
	must(t, err)
	if got.Version != target.Version || string(got.Secrets[0].Sealed) != string(target.Secrets[0].Sealed) {
		t.Errorf("got %+v, want %+v", got, target)
	}
	if next := newFilter(t, d, "acme"); next.Version != target.Version+1 {
		t.Errorf("version %d after %d", next.Version, target.Version)
	}
}

var errRefused = errors.New("refused")
