package dispatch_test

import (
	"context"
	"time"

	"github.com/postrider/postrider"
)

type feed struct{ *world }

func (f feed) seen() []postrider.Change {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]postrider.Change(nil), f.changes...)
}

func (f feed) Load(_ context.Context, yield func(*postrider.Change) error) (uint64, error) {
	changes := f.seen()
	for i := range changes {
		if err := yield(&changes[i]); err != nil {
			return 0, err
		}
	}
	return uint64(len(changes)), nil
}

func (f feed) Version(context.Context) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.frozen {
		return 0, errDown
	}
	return uint64(len(f.changes)), nil
}

func (f feed) Changes(_ context.Context, after uint64, limit int) ([]postrider.Change, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.frozen {
		return nil, errDown
	}
	rest := f.changes[min(int(after), len(f.changes)):]
	return append([]postrider.Change(nil), rest[:min(limit, len(rest))]...), nil
}

func (f feed) Watch(context.Context) <-chan struct{} { return f.watcher }

type outcomes struct{ *world }

func (o outcomes) Record(_ context.Context, batch []postrider.Outcome) (*postrider.Commit, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.fail["record"]; err != nil {
		return nil, err
	}
	o.recorded = append(o.recorded, batch...)
	select {
	case o.changed <- struct{}{}:
	default:
	}
	return postrider.Committed(), nil
}

func (outcomes) Reader(context.Context, func(context.Context, string) (postrider.Position, error)) (postrider.OutcomeReader, error) {
	return nil, nil
}

func (outcomes) Close() error { return nil }

type payloads struct{ *world }

func (p payloads) Put(_ context.Context, key string, payload []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stores++
	p.stored[key] = append([]byte(nil), payload...)
	return p.fail["store"]
}

func (p payloads) Get(_ context.Context, key string) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gets++
	if err := p.fail["get"]; err != nil {
		return nil, err
	}
	if bytes, ok := p.stored[key]; ok {
		return bytes, nil
	}
	return nil, postrider.Errorf(postrider.CodeNotFound, "no such payload")
}

func (payloads) Expire(context.Context, time.Time) (int, error) { return 0, nil }

func (payloads) Close() error { return nil }

// events reads what the world's log holds.
type events struct {
	postrider.EventLog
	*world
}

func (e events) Close() error { return nil }

func (e events) Read(_ context.Context, at postrider.Position) (*postrider.Event, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gets++
	if err := e.fail["read"]; err != nil {
		return nil, err
	}
	if logged, ok := e.log[at]; ok {
		return &logged, nil
	}
	return nil, postrider.Errorf(postrider.CodeGone, "gone")
}

type database struct{ *world }

func (d database) TurnOff(_ context.Context, _ string, id int64, reason string, notice *postrider.Event) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.offCalls++
	if err := d.fail["off"]; err != nil {
		return false, err
	}
	if _, done := d.off[id]; done {
		return false, nil
	}
	d.off[id] = reason
	if notice != nil {
		d.notices = append(d.notices, notice)
	}
	return true, nil
}

func (d database) PutHolds(_ context.Context, _ string, holds []postrider.Hold) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.world.holds = append(d.world.holds, holds)
	return d.fail["holds"]
}
