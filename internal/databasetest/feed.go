package databasetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// count is how many a stranger sees of a list.
func count[T any](t *testing.T, list func(context.Context, string, postrider.Page) ([]*T, string, error)) int {
	t.Helper()
	items, _, err := list(patient(t), "globex", postrider.Page{})
	must(t, err)
	return len(items)
}

// Under concurrent changes every version is there once, in order, and says who made it.
func testFeedIsDense(t *testing.T, h Harness) {
	d := h.Database
	var work sync.WaitGroup
	for i := range 8 {
		work.Go(func() {
			tenant := fmt.Sprintf("t%d", i)
			for range 5 {
				f := &postrider.Filter{Tenant: tenant, Events: []string{"a"}}
				if err := d.CreateFilter(t.Context(), f); err != nil {
					t.Errorf("create: %v", err)
					return
				}
				if _, err := d.UpdateFilter(t.Context(), tenant, f.ID, 0, func(f *postrider.Filter) error { f.Events = []string{"b"}; return nil }); err != nil {
					t.Errorf("update: %v", err)
				}
			}
		})
	}
	work.Wait()
	version, err := d.Version(patient(t))
	must(t, err)
	if version != 80 {
		t.Errorf("version %d after 80 changes", version)
	}
	var after uint64
	for after < version {
		changes, err := d.Changes(patient(t), after, 7)
		must(t, err)
		if len(changes) == 0 || len(changes) > 7 {
			t.Fatalf("%d changes after %d", len(changes), after)
		}
		for _, c := range changes {
			if c.Version != after+1 {
				t.Fatalf("version %d after %d", c.Version, after)
			}
			if c.By != Instance || c.Kind != postrider.KindFilter || c.At.IsZero() {
				t.Errorf("change %+v", c)
			}
			after = c.Version
		}
	}
}

func testFeedShowsEntities(t *testing.T, h Harness) {
	d, ctx := h.Database, patient(t)
	target, filter := newTarget(t, d, "acme"), newFilter(t, d, "acme")
	s := newSubscription(t, d, target, filter)
	must(t, d.DeleteSubscription(ctx, "acme", s.ID, 0))
	changes, err := d.Changes(ctx, 0, 10)
	must(t, err)
	if len(changes) != 4 {
		t.Fatalf("%d changes, want 4", len(changes))
	}
	if c := changes[0]; c.Target == nil || c.Target.URL != target.URL || c.ID != target.ID || c.Tenant != "acme" {
		t.Errorf("the target: %+v", c)
	}
	if c := changes[1]; c.Filter == nil || len(c.Filter.Events) != 2 {
		t.Errorf("the filter: %+v", c)
	}
	for _, c := range changes[2:] {
		if c.Kind != postrider.KindSubscription || c.ID != s.ID || !c.Deleted() {
			t.Errorf("the subscription: %+v", c)
		}
	}
	if none, err := d.Changes(ctx, 4, 10); err != nil || len(none) != 0 {
		t.Errorf("after the last: %v, %v", none, err)
	}
}

func testLoad(t *testing.T, h Harness) {
	d, ctx := h.Database, patient(t)
	want := map[int64]bool{}
	for i := range 5 {
		tenant := fmt.Sprintf("t%d", i)
		target, filter := newTarget(t, d, tenant), newFilter(t, d, tenant)
		want[target.ID], want[filter.ID], want[newSubscription(t, d, target, filter).ID] = true, true, true
	}
	version, err := d.Load(ctx, func(c *postrider.Change) error {
		if !want[c.ID] || c.Deleted() || c.Tenant == "" {
			t.Errorf("loaded %+v", c)
		}
		delete(want, c.ID)
		return nil
	})
	must(t, err)
	if len(want) != 0 || version != 15 {
		t.Errorf("%d entities are missing, version %d", len(want), version)
	}
	if _, err := d.Load(ctx, func(*postrider.Change) error { return errRefused }); err != errRefused { //nolint:errorlint // it comes as it is
		t.Errorf("an error of yield comes back as %v", err)
	}
}

func testWatch(t *testing.T, h Harness) {
	watch := h.Database.Watch(t.Context())
	newFilter(t, h.Database, "acme")
	select {
	case <-watch:
	case <-time.After(patience):
		t.Error("no hint came")
	}
}

// A target is turned off once, with one notice.
func testTurnOff(t *testing.T, h Harness) {
	d, ctx := h.Database, patient(t)
	target := newTarget(t, d, "acme")
	notice := &postrider.Event{ID: "evt_1", Tenant: "acme", Type: "postrider.target.disabled", Payload: postrider.Payload{Size: 2, Bytes: []byte("{}")}}
	var mu sync.Mutex
	turned := 0
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			done, err := d.TurnOff(ctx, "acme", target.ID, "gone", notice)
			if err != nil {
				t.Errorf("turn off: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			if done {
				turned++
			}
		})
	}
	work.Wait()
	notices, err := d.Notices(ctx, 10)
	must(t, err)
	if turned != 1 || len(notices) != 1 || notices[0].Event.Type != notice.Type || string(notices[0].Event.Payload.Bytes) != "{}" {
		t.Fatalf("turned off %d times; notices %+v", turned, notices)
	}
	got, err := d.Target(ctx, "acme", target.ID)
	must(t, err)
	if got.State != postrider.TargetOff || got.StateReason != "gone" || got.Version != target.Version+1 {
		t.Errorf("got %+v", got)
	}
	must(t, d.DropNotice(ctx, notices[0].ID))
	if notices, err = d.Notices(ctx, 10); err != nil || len(notices) != 0 {
		t.Errorf("notices %+v, %v", notices, err)
	}
	if done, err := d.TurnOff(ctx, "acme", 12345, "gone", notice); done || err != nil {
		t.Errorf("one that is gone: %v, %v", done, err)
	}
}
