package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/postgres"
)

// ledger is what was acknowledged.
type ledger struct {
	mu      sync.Mutex
	filters map[int64]uint64
	batches int
	acks    chan struct{}
}

func (l *ledger) ack(f func()) {
	l.mu.Lock()
	f()
	l.mu.Unlock()
	select {
	case l.acks <- struct{}{}:
	default:
	}
}

const batchSize = 300

// batchOf makes the n-th batch, of deliveries that succeed at once.
func batchOf(n int) (*postrider.OutcomeBatch, []postrider.DeliveryID) {
	at := time.Now().UTC().Truncate(24 * time.Hour).Add(time.Duration(n) * time.Millisecond)
	b := &postrider.OutcomeBatch{Partition: "0", End: postrider.Position(fmt.Sprint(n)), Through: at}
	var ids []postrider.DeliveryID
	for i := range batchSize {
		e := &postrider.Event{ID: fmt.Sprintf("evt_%d_%d", n, i), Tenant: "acme", Type: "core.a", AcceptedAt: at, Position: postrider.Position(fmt.Sprint(n, "/", i))}
		id := postrider.NewDeliveryID(e, 7)
		ids = append(ids, id)
		b.Outcomes = append(b.Outcomes, postrider.Outcome{Kind: postrider.OutcomeFanOut, At: at, Tenant: "acme", Event: e.Head(), Targets: []int64{7}},
			postrider.Outcome{Kind: postrider.OutcomeAttempt, At: at, Tenant: "acme", Event: e.Head(), DeliveryID: id, TargetID: 7, Attempts: 1, State: postrider.StateDelivered,
				Attempt: &postrider.Attempt{Number: 1, StartedAt: at, Class: postrider.ClassOK, Status: 200}})
	}
	return b, ids
}

// TestStackServerKilled kills the server again and again while entities change and outcomes are archived. What was acknowledged is
// there afterwards, the feed is dense, and nobody had to open the database anew.
func TestStackServerKilled(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	d, err := postgres.Open(t.Context(), postgres.Options{URL: s.url(), Instance: "one", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	l := &ledger{filters: map[int64]uint64{}, acks: make(chan struct{}, 1)}
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	for range 3 {
		work.Go(func() { makeFilters(ctx, t, d, l) })
	}
	work.Go(func() { archiveBatches(ctx, t, d, l) })
	for range 4 {
		for range 25 { // acknowledgements
			<-l.acks
		}
		s.kill()
		s.start(t)
	}
	for range 25 {
		<-l.acks
	}
	stop()
	work.Wait()
	l.check(t, d)
}

func makeFilters(ctx context.Context, t *testing.T, d *postgres.Database, l *ledger) {
	t.Helper()
	for ctx.Err() == nil {
		f := &postrider.Filter{Tenant: "acme", Events: []string{"core.a"}}
		switch err := d.CreateFilter(ctx, f); {
		case err == nil:
			l.ack(func() { l.filters[f.ID] = f.Version })
		case ctx.Err() == nil && postrider.CodeOf(err) != postrider.CodeUnavailable:
			t.Errorf("create: %v", err)
		}
	}
}

func archiveBatches(ctx context.Context, t *testing.T, d *postgres.Database, l *ledger) {
	t.Helper()
	for n := 1; ctx.Err() == nil; {
		b, _ := batchOf(n)
		switch err := d.Archive(ctx, b); {
		case err == nil:
			l.ack(func() { l.batches = n })
			n++
		case ctx.Err() == nil && postrider.CodeOf(err) != postrider.CodeUnavailable:
			t.Errorf("archive: %v", err)
		}
	}
}

func (l *ledger) check(t *testing.T, d *postgres.Database) {
	t.Helper()
	ctx := t.Context()
	last, err := d.Version(ctx)
	if err != nil {
		t.Fatal(err)
	}
	made := map[int64]uint64{}
	for after := uint64(0); after < last; {
		changes, err := d.Changes(ctx, after, 1000)
		if err != nil || len(changes) == 0 {
			t.Fatalf("%d changes after %d of %d, %v", len(changes), after, last, err)
		}
		for _, c := range changes {
			if c.Version != after+1 {
				t.Fatalf("version %d after %d", c.Version, after)
			}
			after = c.Version
			made[c.ID] = c.Version
		}
	}
	for id, version := range l.filters {
		if made[id] != version {
			t.Errorf("filter %d was acknowledged as version %d, and is %d", id, version, made[id])
		}
	}
	position, err := d.ArchivedTo(ctx, "0")
	if err != nil || position != postrider.Position(fmt.Sprint(l.batches)) && position != postrider.Position(fmt.Sprint(l.batches+1)) {
		t.Errorf("archived to %q, %v; acknowledged %d", position, err, l.batches)
	}
	l.checkDeliveries(t, d)
	t.Logf("%d filters and %d batches acknowledged, version %d", len(l.filters), l.batches, last)
}

func (l *ledger) checkDeliveries(t *testing.T, d *postgres.Database) {
	t.Helper()
	found := map[postrider.DeliveryID]bool{}
	q := postrider.DeliveryQuery{Page: postrider.Page{Limit: postrider.MaxPageLimit}, State: postrider.StateDelivered}
	for {
		records, next, err := d.Deliveries(t.Context(), "acme", q)
		if err != nil {
			t.Fatal(err)
		}
		for i := range records {
			found[records[i].ID] = true
		}
		if next == "" {
			break
		}
		q.After = next
	}
	for n := 1; n <= l.batches; n++ {
		_, ids := batchOf(n)
		missing := slices.DeleteFunc(ids, func(id postrider.DeliveryID) bool { return found[id] })
		if len(missing) > 0 {
			t.Errorf("%d deliveries of batch %d are missing", len(missing), n)
		}
	}
}
