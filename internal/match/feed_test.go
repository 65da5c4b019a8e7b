package match_test

import (
	"context"
	"errors"
	"sync"

	"github.com/postrider/postrider"
)

// feed is a change feed in memory.
type feed struct {
	mu        sync.Mutex
	down      bool
	changes   []postrider.Change
	kept      uint64 // changes after it are kept
	skip      uint64 // a change that is left out
	loads     int
	reads     int
	entities  map[key]postrider.Change
	watchers  []chan struct{}
	unhinted  bool // no hints are given
	versionOf uint64
}

type key struct {
	kind postrider.Kind
	id   int64
}

func newFeed() *feed { return &feed{entities: make(map[key]postrider.Change)} }

// put makes a change: exactly one of the entities is set, or none to delete.
func (f *feed) put(c postrider.Change) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.versionOf++
	c.Version = f.versionOf
	f.changes = append(f.changes, c)
	if c.Deleted() {
		delete(f.entities, key{c.Kind, c.ID})
	} else {
		f.entities[key{c.Kind, c.ID}] = c
	}
	if !f.unhinted {
		for _, w := range f.watchers {
			select {
			case w <- struct{}{}:
			default:
			}
		}
	}
	return c.Version
}

func (f *feed) set(change func(*feed)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *feed) answer() error {
	f.reads++
	if f.down {
		return postrider.Errorf(postrider.CodeUnavailable, "down: %w", errors.ErrUnsupported)
	}
	return nil
}

func (f *feed) Version(context.Context) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.versionOf, f.answer()
}

func (f *feed) Changes(_ context.Context, after uint64, limit int) ([]postrider.Change, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.answer(); err != nil {
		return nil, err
	}
	if after < f.kept {
		return nil, postrider.Errorf(postrider.CodeGone, "no longer kept")
	}
	var out []postrider.Change
	for _, c := range f.changes {
		if c.Version > after && c.Version != f.skip && len(out) < limit {
			out = append(out, c)
		}
	}
	return out, nil
}

func (f *feed) Load(_ context.Context, yield func(*postrider.Change) error) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.answer(); err != nil {
		return 0, err
	}
	f.loads++
	for _, c := range f.entities {
		if err := yield(&c); err != nil {
			return 0, err
		}
	}
	return f.versionOf, nil
}

func (f *feed) Watch(context.Context) <-chan struct{} {
	w := make(chan struct{}, 1)
	f.set(func(f *feed) { f.watchers = append(f.watchers, w) })
	return w
}

func (f *feed) counts() (loads, reads int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.loads, f.reads
}

func target(tenant string, id int64, state postrider.TargetState) postrider.Change {
	return postrider.Change{Kind: postrider.KindTarget, ID: id, Tenant: tenant,
		Target: &postrider.Target{ID: id, Tenant: tenant, State: state, URL: "https://example.com/hooks"}}
}

func filter(tenant string, id int64, events ...string) postrider.Change {
	return postrider.Change{Kind: postrider.KindFilter, ID: id, Tenant: tenant,
		Filter: &postrider.Filter{ID: id, Tenant: tenant, Events: events}}
}

func subscription(tenant string, id, target, filter int64, active bool) postrider.Change {
	return postrider.Change{Kind: postrider.KindSubscription, ID: id, Tenant: tenant,
		Subscription: &postrider.Subscription{ID: id, Tenant: tenant, TargetID: target, FilterID: filter, Active: active}}
}

func gone(kind postrider.Kind, tenant string, id int64) postrider.Change {
	return postrider.Change{Kind: kind, ID: id, Tenant: tenant}
}
