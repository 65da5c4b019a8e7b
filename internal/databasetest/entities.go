package databasetest

import (
	"errors"
	"reflect"
	"testing"

	"github.com/postrider/postrider"
)

func testTarget(t *testing.T, h Harness) {
	d, ctx := h.Database, patient(t)
	target := newTarget(t, d, "acme")
	if target.ID < 1 || target.ID > postrider.MaxEntityID || target.Version == 0 || target.CreatedAt.IsZero() || target.State != postrider.TargetOn {
		t.Errorf("made %+v", target)
	}
	got, err := d.Target(ctx, "acme", target.ID)
	must(t, err)
	if !reflect.DeepEqual(got, target) {
		t.Errorf("got  %+v\nwant %+v", got, target)
	}
	changed, err := d.UpdateTarget(ctx, "acme", target.ID, 0, func(t *postrider.Target) error { t.URL, t.AllowPrivate = "https://example.com/b", true; return nil })
	must(t, err)
	if changed.Version <= target.Version || changed.URL != "https://example.com/b" || !changed.CreatedAt.Equal(target.CreatedAt) {
		t.Errorf("changed %+v", changed)
	}
	got, err = d.Target(ctx, "acme", target.ID)
	must(t, err)
	if !reflect.DeepEqual(got, changed) {
		t.Errorf("got  %+v\nwant %+v", got, changed)
	}
	must(t, d.DeleteTarget(ctx, "acme", target.ID, 0, false))
	_, err = d.Target(ctx, "acme", target.ID)
	wantCode(t, err, postrider.CodeNotFound)
	wantCode(t, d.DeleteTarget(ctx, "acme", target.ID, 0, false), postrider.CodeNotFound)
}

func testFilter(t *testing.T, h Harness) {
	d, ctx := h.Database, patient(t)
	f := newFilter(t, d, "acme")
	got, err := d.Filter(ctx, "acme", f.ID)
	must(t, err)
	if !reflect.DeepEqual(got, f) {
		t.Errorf("got %+v, want %+v", got, f)
	}
	changed, err := d.UpdateFilter(ctx, "acme", f.ID, f.Version, func(f *postrider.Filter) error { f.Events = []string{"a.b"}; return nil })
	must(t, err)
	if changed.Version <= f.Version || changed.Events[0] != "a.b" || len(f.Events) != 2 {
		t.Errorf("changed %+v", changed)
	}
	must(t, d.DeleteFilter(ctx, "acme", f.ID, changed.Version, false))
	_, err = d.Filter(ctx, "acme", f.ID)
	wantCode(t, err, postrider.CodeNotFound)
}

func testSubscription(t *testing.T, h Harness) {
	d, ctx := h.Database, patient(t)
	s := newSubscription(t, d, newTarget(t, d, "acme"), newFilter(t, d, "acme"))
	got, err := d.Subscription(ctx, "acme", s.ID)
	must(t, err)
	if *got != *s {
		t.Errorf("got %+v, want %+v", got, s)
	}
	changed, err := d.UpdateSubscription(ctx, "acme", s.ID, s.Version, func(s *postrider.Subscription) error { s.Active = false; return nil })
	must(t, err)
	if changed.Active || changed.Version <= s.Version {
		t.Errorf("changed %+v", changed)
	}
	must(t, d.DeleteSubscription(ctx, "acme", s.ID, 0))
	_, err = d.Subscription(ctx, "acme", s.ID)
	wantCode(t, err, postrider.CodeNotFound)
}

// A subscription binds what its tenant has, and every fault is named.
func testSubscriptionEnds(t *testing.T, h Harness) {
	d, ctx := h.Database, patient(t)
	mine, foreign := newTarget(t, d, "acme"), newTarget(t, d, "globex")
	filter, foreignFilter := newFilter(t, d, "acme"), newFilter(t, d, "globex")
	for _, tt := range []struct {
		target, filter int64
		fields         int
	}{{foreign.ID, filter.ID, 1}, {mine.ID, foreignFilter.ID, 1}, {1, 2, 2}} {
		err := d.CreateSubscription(ctx, &postrider.Subscription{Tenant: "acme", TargetID: tt.target, FilterID: tt.filter})
		var e *postrider.Error
		if !errors.As(err, &e) || e.Code != postrider.CodeInvalid || len(e.Fields) != tt.fields {
			t.Errorf("target %d, filter %d: %v", tt.target, tt.filter, err)
		}
	}
	s := newSubscription(t, d, mine, filter)
	_, err := d.UpdateSubscription(ctx, "acme", s.ID, 0, func(s *postrider.Subscription) error { s.TargetID = foreign.ID; return nil })
	wantCode(t, err, postrider.CodeInvalid)
}

func testMatch(t *testing.T, h Harness) {
	d, ctx := h.Database, patient(t)
	target, filter := newTarget(t, d, "acme"), newFilter(t, d, "acme")
	s := newSubscription(t, d, target, filter)
	_, err := d.UpdateTarget(ctx, "acme", target.ID, target.Version+100, func(*postrider.Target) error { return nil })
	wantCode(t, err, postrider.CodePrecondition)
	_, err = d.UpdateFilter(ctx, "acme", filter.ID, filter.Version+100, func(*postrider.Filter) error { return nil })
	wantCode(t, err, postrider.CodePrecondition)
	_, err = d.UpdateSubscription(ctx, "acme", s.ID, s.Version+100, func(*postrider.Subscription) error { return nil })
	wantCode(t, err, postrider.CodePrecondition)
	wantCode(t, d.DeleteTarget(ctx, "acme", target.ID, target.Version+100, true), postrider.CodePrecondition)
	wantCode(t, d.DeleteFilter(ctx, "acme", filter.ID, filter.Version+100, true), postrider.CodePrecondition)
	wantCode(t, d.DeleteSubscription(ctx, "acme", s.ID, s.Version+100), postrider.CodePrecondition)
}

func testNoChangeNoVersion(t *testing.T, h Harness) {
	d, ctx := h.Database, patient(t)
	target := newTarget(t, d, "acme")
	same, err := d.UpdateTarget(ctx, "acme", target.ID, 0, func(t *postrider.Target) error { t.Name = "orders"; return nil })
	must(t, err)
	version, err := d.Version(ctx)
	must(t, err)
	if same.Version != target.Version || version != target.Version {
		t.Errorf("version %d and %d after %d", same.Version, version, target.Version)
	}
}

func testFailedChange(t *testing.T, h Harness) {
	d, ctx := h.Database, patient(t)
	target := newTarget(t, d, "acme")
	_, err := d.UpdateTarget(ctx, "acme", target.ID, 0, func(t *postrider.Target) error { t.Name = "other"; return postrider.Invalid("name", "no") })
	wantCode(t, err, postrider.CodeInvalid)
	got, err := d.Target(ctx, "acme", target.ID)
	must(t, err)
	if got.Name != "orders" || got.Version != target.Version {
		t.Errorf("got %+v", got)
	}
}

func testCascade(t *testing.T, h Harness) {
	d, ctx := h.Database, patient(t)
	target, filter := newTarget(t, d, "acme"), newFilter(t, d, "acme")
	s := newSubscription(t, d, target, filter)
	wantCode(t, d.DeleteTarget(ctx, "acme", target.ID, 0, false), postrider.CodeConflict)
	wantCode(t, d.DeleteFilter(ctx, "acme", filter.ID, 0, false), postrider.CodeConflict)
	must(t, d.DeleteTarget(ctx, "acme", target.ID, 0, true))
	_, err := d.Subscription(ctx, "acme", s.ID)
	wantCode(t, err, postrider.CodeNotFound)
	changes, err := d.Changes(ctx, s.Version, 10)
	must(t, err)
	if len(changes) != 2 || !changes[0].Deleted() || !changes[1].Deleted() {
		t.Errorf("changes %+v", changes)
	}
	must(t, d.DeleteFilter(ctx, "acme", filter.ID, 0, false))
}

func testPages(t *testing.T, h Harness) {
	d, ctx := h.Database, patient(t)
	var want []int64
	for range 7 {
		want = append(want, newTarget(t, d, "acme").ID)
		newTarget(t, d, "globex")
	}
	var got []int64
	page := postrider.Page{Limit: 3}
	for {
		targets, next, err := d.Targets(ctx, "acme", page)
		must(t, err)
		if len(targets) > 3 {
			t.Fatalf("a page of %d", len(targets))
		}
		for _, target := range targets {
			got = append(got, target.ID)
		}
		if next == "" {
			break
		}
		page.After = next
		if len(got) == 3 { // what is added meanwhile comes at the end
			want = append(want, newTarget(t, d, "acme").ID)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	exact, next, err := d.Filters(ctx, "acme", postrider.Page{Limit: 1})
	if err != nil || len(exact) != 0 || next != "" {
		t.Errorf("an empty list: %v, %q, %v", exact, next, err)
	}
	newFilter(t, d, "acme")
	if exact, next, err = d.Filters(ctx, "acme", postrider.Page{Limit: 1}); err != nil || len(exact) != 1 || next != "" {
		t.Errorf("a list of one: %v, %q, %v", exact, next, err)
	}
}

func testBadCursor(t *testing.T, h Harness) {
	d, ctx := h.Database, patient(t)
	for _, after := range []string{"!", "x", "AAAA", "99999999999999999999999"} {
		page := postrider.Page{After: after}
		_, _, err := d.Targets(ctx, "acme", page)
		wantCode(t, err, postrider.CodeInvalid)
		_, _, err = d.Subscriptions(ctx, "acme", page)
		wantCode(t, err, postrider.CodeInvalid)
		_, _, err = d.Deliveries(ctx, "acme", postrider.DeliveryQuery{Page: page})
		wantCode(t, err, postrider.CodeInvalid)
	}
}

// Each method sees its tenant's rows only.
func testIsolation(t *testing.T, h Harness) {
	d, ctx := h.Database, patient(t)
	target, filter := newTarget(t, d, "acme"), newFilter(t, d, "acme")
	s := newSubscription(t, d, target, filter)
	_, err := d.Target(ctx, "globex", target.ID)
	wantCode(t, err, postrider.CodeNotFound)
	_, err = d.Filter(ctx, "globex", filter.ID)
	wantCode(t, err, postrider.CodeNotFound)
	_, err = d.Subscription(ctx, "globex", s.ID)
	wantCode(t, err, postrider.CodeNotFound)
	_, err = d.UpdateTarget(ctx, "globex", target.ID, 0, func(*postrider.Target) error { return errRefused })
	wantCode(t, err, postrider.CodeNotFound)
	_, err = d.UpdateFilter(ctx, "globex", filter.ID, 0, func(*postrider.Filter) error { return errRefused })
	wantCode(t, err, postrider.CodeNotFound)
	_, err = d.UpdateSubscription(ctx, "globex", s.ID, 0, func(*postrider.Subscription) error { return errRefused })
	wantCode(t, err, postrider.CodeNotFound)
	wantCode(t, d.DeleteTarget(ctx, "globex", target.ID, 0, true), postrider.CodeNotFound)
	wantCode(t, d.DeleteFilter(ctx, "globex", filter.ID, 0, true), postrider.CodeNotFound)
	wantCode(t, d.DeleteSubscription(ctx, "globex", s.ID, 0), postrider.CodeNotFound)
	if done, err := d.TurnOff(ctx, "globex", target.ID, "gone", nil); done || err != nil {
		t.Errorf("a stranger turned a target off: %v, %v", done, err)
	}
	for name, n := range map[string]int{"targets": count(t, d.Targets), "filters": count(t, d.Filters), "subscriptions": count(t, d.Subscriptions)} {
		if n != 0 {
			t.Errorf("globex sees %d %s", n, name)
		}
	}
}
