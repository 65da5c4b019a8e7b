package archive_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/postrider/postrider"
)

// log is an outcome log in memory with partitions whose positions count outcomes. It is read as the contract says: on from
// what was returned, and from what the database has archived when a reader joins.
type log struct {
	mu       sync.Mutex
	changed  chan struct{}
	parts    map[string][]postrider.Outcome
	archived map[string]postrider.Position
	nextErr  func() error
	open     int
	batch    int // outcomes that Next returns at most
}

func newLog() *log {
	return &log{changed: make(chan struct{}), parts: map[string][]postrider.Outcome{}, archived: map[string]postrider.Position{}, batch: 3}
}

func (l *log) add(partition string, outcomes ...postrider.Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parts[partition] = append(l.parts[partition], outcomes...)
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *log) Record(context.Context, []postrider.Outcome) (*postrider.Commit, error) {
	return postrider.Committed(), nil
}

func (l *log) Reader(ctx context.Context, from func(context.Context, string) (postrider.Position, error)) (postrider.OutcomeReader, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &reader{log: l, at: map[string]int{}}
	for partition := range l.parts {
		at, err := from(ctx, partition)
		if err != nil {
			return nil, err
		}
		r.at[partition], _ = strconv.Atoi(string(at))
	}
	l.open++
	return r, nil
}

func (l *log) Close() error { return nil }

type reader struct {
	*log
	at map[string]int
}

func (r *reader) Next(ctx context.Context) (*postrider.OutcomeBatch, error) {
	for {
		r.mu.Lock()
		if r.nextErr != nil {
			if err := r.nextErr(); err != nil {
				r.mu.Unlock()
				return nil, err
			}
		}
		for _, partition := range slices.Sorted(maps.Keys(r.parts)) {
			if at, all := r.at[partition], r.parts[partition]; at < len(all) {
				end := min(at+r.batch, len(all))
				r.at[partition] = end
				r.mu.Unlock()
				return &postrider.OutcomeBatch{Partition: partition, Outcomes: slices.Clone(all[at:end]),
					End: postrider.Position(strconv.Itoa(end)), Through: time.Now()}, nil
			}
		}
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-changed:
		}
	}
}

func (r *reader) Archived(b *postrider.OutcomeBatch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.archived[b.Partition] = b.End
}

func (r *reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open--
	return nil
}

// direct is an outcome log that writes into the database: there is nothing to read.
type direct struct{ *log }

func (direct) Reader(context.Context, func(context.Context, string) (postrider.Position, error)) (postrider.OutcomeReader, error) {
	return nil, nil
}

// rest is what the tests do not call.
type rest = postrider.Archive

// database keeps what is archived, and fails where a test says so. A batch that does not follow on the one before is a hole.
type database struct {
	rest
	mu      sync.Mutex
	err     func(b *postrider.OutcomeBatch) error
	batches []*postrider.OutcomeBatch
	to      map[string]postrider.Position
	count   map[string]int
	expired []time.Time
	refuse  error // of Expire
	holes   []string
}

func newDatabase() *database {
	return &database{to: map[string]postrider.Position{}, count: map[string]int{}}
}

func (d *database) Archive(_ context.Context, b *postrider.OutcomeBatch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		if err := d.err(b); err != nil {
			return err
		}
	}
	d.batches = append(d.batches, b)
	d.count[b.Partition] += len(b.Outcomes)
	if b.End == "" {
		return nil
	}
	from, _ := strconv.Atoi(string(d.to[b.Partition]))
	if end, _ := strconv.Atoi(string(b.End)); end != from+len(b.Outcomes) {
		d.holes = append(d.holes, fmt.Sprintf("%s: %d outcomes after %d end at %d", b.Partition, len(b.Outcomes), from, end))
	}
	d.to[b.Partition] = b.End
	return nil
}

func (d *database) ArchivedTo(_ context.Context, partition string) (postrider.Position, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.to[partition], nil
}

func (d *database) Expire(_ context.Context, before time.Time) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expired = append(d.expired, before)
	return 2, d.refuse
}

func (d *database) refuses(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuse = err
}

func (d *database) stored(partition string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count[partition]
}

// events records what it is asked to expire.
type events struct {
	postrider.EventLog
	expired []time.Time
}

func (e *events) Expire(_ context.Context, before time.Time) (int, error) {
	e.expired = append(e.expired, before)
	return 1, nil
}

// payloads records what it is asked to expire.
type payloads struct {
	postrider.PayloadStore
	mu      sync.Mutex
	expired []time.Time
}

func (p *payloads) Expire(_ context.Context, before time.Time) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expired = append(p.expired, before)
	return 0, nil
}

// lane is a queue that holds outcomes only.
type lane struct {
	postrider.Queue
	mu      sync.Mutex
	changed chan struct{}
	items   []*postrider.Lease // ready
	settled int
	taken   int
	takeErr func() error
}

func newLane() *lane { return &lane{changed: make(chan struct{})} }

func (q *lane) add(outcomes ...postrider.Outcome) {
	q.ready(&postrider.Lease{Item: postrider.Item{Lane: postrider.LaneOutcomes, Outcomes: outcomes}})
}

func (q *lane) ready(l *postrider.Lease) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items = append(q.items, l)
	close(q.changed)
	q.changed = make(chan struct{})
}

func (q *lane) Take(ctx context.Context, r postrider.TakeRequest) ([]*postrider.Lease, error) {
	if r.Lane != postrider.LaneOutcomes {
		panic("an archiver took " + r.Lane.String())
	}
	for {
		q.mu.Lock()
		if q.takeErr != nil {
			if err := q.takeErr(); err != nil {
				q.mu.Unlock()
				return nil, err
			}
		}
		leases, changed := q.items, q.changed
		q.items = nil
		for _, l := range leases {
			l.Receives++
		}
		q.taken += len(leases)
		q.mu.Unlock()
		if len(leases) > 0 {
			return leases, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-changed:
		}
	}
}

func (q *lane) Settle(_ context.Context, _ *postrider.Lease, follow ...postrider.Item) (*postrider.Commit, error) {
	if len(follow) > 0 {
		panic("an archiver put something")
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.settled++
	return postrider.Committed(), nil
}

func (q *lane) Return(_ context.Context, l *postrider.Lease, delay time.Duration) error {
	time.AfterFunc(delay, func() { q.ready(l) })
	return nil
}
