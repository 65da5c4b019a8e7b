package archive_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/archive"
	"github.com/postrider/postrider/internal/kafka"
	"github.com/postrider/postrider/internal/sqlite"
)

// server is a database that can be stopped and started while the archiver goes on.
type server struct {
	dir string

	mu       sync.Mutex
	db       *sqlite.DB // nil while it is stopped
	refused  int
	answered chan struct{} // a signal that a call was refused
	stored   chan struct{} // a signal that a batch was archived
}

// signal wakes who waits on a channel of one place.
func signal(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

func openSQLite(t *testing.T, dir string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func (s *server) start(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.db = openSQLite(t, s.dir)
}

func (s *server) stop(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.db.Close(); err != nil {
		t.Error(err)
	}
	s.db = nil
}

// use calls f with the database, or answers as one that is away.
func (s *server) use(f func(postrider.Database) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		s.refused++
		signal(s.answered)
		return errAway
	}
	return f(s.db.Database())
}

func (s *server) store(ctx context.Context, b *postrider.OutcomeBatch) error {
	err := s.use(func(db postrider.Database) error { return db.Archive(ctx, b) })
	if err == nil {
		signal(s.stored)
	}
	return err
}

func (s *server) archivedTo(ctx context.Context, partition string) (at postrider.Position, err error) {
	err = s.use(func(db postrider.Database) error { at, err = db.ArchivedTo(ctx, partition); return err })
	return at, err
}

// history is what is recorded of an event that was delivered to one target.
func history(n int) (*postrider.Event, []postrider.Outcome) {
	at := time.Now().UTC().Truncate(time.Millisecond)
	e := &postrider.Event{ID: fmt.Sprintf("evt_%d", n), Tenant: "acme", Type: "a.b", AcceptedAt: at, Position: postrider.Position(fmt.Sprintf("0-%d-1", n))}
	base := postrider.Outcome{At: at, Tenant: e.Tenant, Event: e.Head()}
	fan, attempt := base, base
	fan.Kind, fan.Targets = postrider.OutcomeFanOut, []int64{7}
	attempt.Kind, attempt.DeliveryID, attempt.TargetID = postrider.OutcomeAttempt, postrider.NewDeliveryID(e, 7), 7
	attempt.Attempts, attempt.State = 1, postrider.StateDelivered
	attempt.Attempt = &postrider.Attempt{Number: 1, StartedAt: at, Status: 204}
	return e, []postrider.Outcome{fan, attempt}
}

// TestDatabaseStoppedAndStarted: while the database is away outcomes wait in Kafka, and in the queue those that Kafka did not take; when it
// is back everything is archived, by an archiver that was never restarted and by one that started meanwhile.
func TestDatabaseStoppedAndStarted(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DefaultNumPartitions(3))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	log, err := kafka.OpenOutcomes(t.Context(), kafka.OutcomeOptions{URL: "kafka://" + strings.Join(cluster.ListenAddrs(), ",") + "/outcomes"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	lane := openSQLite(t, t.TempDir())
	t.Cleanup(func() { lane.Close() })
	s := &server{dir: t.TempDir(), answered: make(chan struct{}, 1), stored: make(chan struct{}, 1)}
	s.start(t)
	options := archive.Options{Outcomes: log, Queue: lane.Queue(), Database: away{server: s}}
	t.Cleanup(run(t, options))

	var events []*postrider.Event
	record := func(to func([]postrider.Outcome) (*postrider.Commit, error), count int) {
		t.Helper()
		for range count {
			e, outcomes := history(len(events))
			events = append(events, e)
			commit, err := to(outcomes)
			if err == nil {
				err = commit.Wait(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	byKafka := func(outcomes []postrider.Outcome) (*postrider.Commit, error) {
		return log.Record(t.Context(), outcomes)
	}
	byQueue := func(outcomes []postrider.Outcome) (*postrider.Commit, error) {
		return lane.Queue().Put(t.Context(), postrider.Item{Lane: postrider.LaneOutcomes, Outcomes: outcomes})
	}
	record(byKafka, 20)
	s.untilArchived(t, events)
	s.stop(t)
	record(byKafka, 100)
	record(byQueue, 20)
	t.Cleanup(run(t, options)) // another archiver joins, and gets partitions whose positions it can't read
	for range 5 {
		<-s.answered
	}
	s.start(t)
	record(byKafka, 5)
	s.untilArchived(t, events)
	s.stop(t)
}

// away makes an Archive of a server.
type away struct {
	rest // nil: what the archiver does not call
	*server
}

func (a away) Archive(ctx context.Context, b *postrider.OutcomeBatch) error {
	return a.store(ctx, b)
}

func (a away) ArchivedTo(ctx context.Context, partition string) (postrider.Position, error) {
	return a.archivedTo(ctx, partition)
}

// untilArchived waits until each event's delivery is shown as delivered, with its attempt.
func (s *server) untilArchived(t *testing.T, events []*postrider.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for _, e := range events {
		for {
			var found *postrider.DeliveryRecord
			var attempts []postrider.Attempt
			err := s.use(func(db postrider.Database) (err error) {
				if found, err = db.Delivery(ctx, e.Tenant, postrider.NewDeliveryID(e, 7)); err == nil {
					attempts, err = db.Attempts(ctx, e.Tenant, found.ID)
				}
				return err
			})
			if err == nil && found.State == postrider.StateDelivered && len(attempts) == 1 {
				break
			}
			select {
			case <-s.stored:
			case <-ctx.Done():
				t.Fatalf("%s is not archived: %+v, %d attempts, %v", e.ID, found, len(attempts), err)
			}
		}
	}
}
