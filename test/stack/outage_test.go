package stack

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/postrider/postrider/test/harness"
)

// TestOutage kills PostgreSQL in one system, and in another the Kafka of the outcomes, and starts it again 10 s later, or as much
// later as POSTRIDER_OUTAGE says:
//
//	POSTRIDER_OUTAGE=1h go test -count=1 -v -timeout 2h -run TestOutage ./test/stack
//
// Deliveries go on as before, health tells what is missing and nothing else, memory does not grow, no process ends, and
// afterwards the archive catches up, until every delivery is shown with its attempts. Both servers are the test's own. The figures of an
// hour are in docs/delivery.md. A server of the others that does not answer in that time makes twins as well: its log tells.
func TestOutage(t *testing.T) {
	t.Parallel()
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		server := newSpare(t, "pg")
		at := direct()
		at.pg = server.at
		endure(t, "PostgreSQL", server, at, health{
			"api": {"database", false}, "consumer": {"database", true}, "dispatcher": {"database", true}, "retry": {"", true}, "archiver": {"database", false},
		})
	})
	t.Run("OutcomesKafka", func(t *testing.T) {
		t.Parallel()
		server := newSpare(t, "kafka")
		at := direct()
		at.outcomes = server.at
		endure(t, "the Kafka of the outcomes", server, at, health{
			"api": {"outcomes", true}, "consumer": {"outcomes", true}, "dispatcher": {"outcomes", true}, "retry": {"", true}, "archiver": {"outcomes", false},
		})
	})
}

// outageLasts is how long a server stays away.
func outageLasts(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("POSTRIDER_OUTAGE")
	if text == "" {
		return 10 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		t.Fatalf("POSTRIDER_OUTAGE=%s is no time", text)
	}
	return d
}

// steadily is the pace of an outage: small enough for an hour of it.
var steadily = pace{produce: 90 * time.Millisecond, post: time.Second, posters: 1, body: func(n int, random *rand.Rand) []byte {
	if n%600 == 599 {
		return harness.Payload(random.Uint64(), 3<<20)
	}
	return harness.Payload(random.Uint64(), 1<<10)
}}

// endure has a system of its own go through an outage of a server.
func endure(t *testing.T, what string, server *spare, at addresses, want health) {
	t.Helper()
	f := newFleetAt(t, at, "--retry-base", "200ms", "--retry-max", "2s", "--timeout", "5s", "--max-in-flight", fmt.Sprint(inFlight), "--log-level", "warn")
	d := newDrill(t, f, f.startAll(t))
	d.pace = steadily
	o := &away{drill: d, server: server, want: want, lasts: outageLasts(t), samples: map[string][]sample{}}
	d.suffer(t, fault{name: what + " away for " + o.lasts.String(), run: func() { o.run(t) }})
	d.report(t)
	d.ledger.check(t)
	o.checkArchive(t)
	o.checkMemory(t)
	for role, p := range d.processes {
		select {
		case <-p.Exited():
			t.Errorf("%s has ended", role)
		default:
		}
		t.Logf("%s logged %v", role, p.Log().Messages())
	}
}

// away is a drill of one outage, and what was seen of it.
type away struct {
	*drill
	server   *spare
	want     health
	lasts    time.Duration
	down, up time.Time // when it was killed, and was there again
	samples  map[string][]sample
}

func (o *away) run(t *testing.T) {
	t.Helper()
	calm := min(o.lasts/30, 2*time.Minute)
	before := time.Now()
	o.pass(t, before.Add(calm))
	o.down = time.Now()
	o.server.kill(t)
	for role := range o.want {
		o.awaitHealth(t, role)
	}
	t.Logf("health tells of it after %v", time.Since(o.down).Round(time.Millisecond))
	o.pass(t, o.down.Add(o.lasts))
	o.checkAPI(t)
	o.server.start(t)
	o.up = time.Now()
	for role, p := range o.processes {
		o.awaitReady(t, role, p)
	}
	t.Logf("all are ready again %v after the server", time.Since(o.up).Round(time.Millisecond))
	o.awaitAsOf(t)
	o.awaitSettled(t)
	caught := time.Now()
	t.Logf("the archive has caught up %v after the server was there", caught.Sub(o.up).Round(time.Millisecond))
	o.pass(t, caught.Add(calm))
	o.logLatency(t, "before", before, o.down)
	o.logLatency(t, "while it was away", o.down, o.up)
	o.logLatency(t, "while the archive caught up", o.up, caught)
	o.logLatency(t, "after", caught, time.Now())
}

func (o *away) logLatency(t *testing.T, when string, from, to time.Time) {
	t.Helper()
	all := o.ledger.firsts(from, to)
	t.Logf("%s (%v): %d first attempts, after p50 %v, p95 %v, p99 %v, longest %v", when, to.Sub(from).Round(time.Second), len(all),
		quantile(all, 0.5), quantile(all, 0.95), quantile(all, 0.99), quantile(all, 1))
}

// pass lets time pass under load, which must flow all the while.
func (o *away) pass(t *testing.T, until time.Time) {
	t.Helper()
	every := min(max(o.lasts/120, time.Second), 30*time.Second)
	for n := 0; time.Now().Before(until); n++ {
		began := time.Now()
		select {
		case <-time.After(min(every, time.Until(until))): // that the fault lasts is the point
		case <-t.Context().Done():
			return
		}
		o.awaitFlow(t, "in the outage", len(o.rounds), began)
		o.sample(t)
		if n%10 == 9 {
			o.progress(t, began)
		}
	}
}

// progress is for who waits an hour for the end of it.
func (o *away) progress(t *testing.T, since time.Time) {
	t.Helper()
	recent, memory := o.ledger.firsts(since, time.Now()), ""
	for _, role := range roles {
		list := o.samples[role]
		memory += fmt.Sprintf(" %s %d", role, list[len(list)-1].rss>>20)
	}
	gone := time.Duration(0)
	if !o.down.IsZero() && o.up.IsZero() {
		gone = time.Since(o.down)
	}
	t.Logf("away for %v: p50 %v, p95 %v; MiB:%s; by the queue instead of the log: %v", gone.Round(time.Second), quantile(recent, 0.5), quantile(recent, 0.95), memory, o.diverted(t))
}
