package stack

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/test/harness"
)

// drill is a system under load in which one fault follows the other, each in a round of its own.
type drill struct {
	*fleet
	ledger    *ledger
	pace      pace
	app       *kgo.Client
	receiver  *harness.Receiver
	processes map[string]*harness.Server
	paths     map[int64]string // of the targets
	rounds    []round
	counts    map[*harness.Server]counted // what each process told of twins, at last
}

// flow is how many events must have come through before a fault, and again after it.
const flow = 25

// inFlight bounds the attempts of a dispatcher in a drill.
const inFlight = 32

func drillSettings() []string {
	return []string{"--retry-base", "200ms", "--retry-max", "2s", "--timeout", "1s", "--max-in-flight", fmt.Sprint(inFlight), "--log-level", "warn"}
}

// newDrill readies targets of a fleet whose processes run, and an application.
func newDrill(t *testing.T, f *fleet, processes map[string]*harness.Server) *drill {
	t.Helper()
	d := &drill{fleet: f, ledger: newLedger("/a", "/b"), pace: busy, app: application(t, direct().kafka, kgo.RecordDeliveryTimeout(harness.Patience)), processes: processes,
		paths: map[int64]string{}, counts: map[*harness.Server]counted{}}
	d.receiver = harness.NewReceiver(t, func(m *harness.Message, _ http.ResponseWriter) int {
		status := http.StatusOK
		if m.Attempt == 1 && sha256.Sum256([]byte(m.ID))[0] < 16 { // one in sixteen fails at first
			status = http.StatusServiceUnavailable
		}
		d.ledger.arrived(m, status)
		m.Body, m.Header = nil, nil // the ledger has what is needed of it, and a drill may take an hour
		return status
	})
	for _, path := range d.ledger.paths {
		target := f.api().Target(t, d.receiver.URL+path).ID
		f.api().Subscribe(t, target, []string{loadType})
		d.paths[target] = path
	}
	return d
}

// fault is what happens in a round.
type fault struct {
	name   string
	twins  twins // at most
	leases bool  // what was in hand comes again when its lease ends: the next round does not wait for that
	run    func()
}

// round is a fault under load, and how it went.
type round struct {
	fault
	began, faulted, mended, flowing time.Time
}

// suffer runs the load, and in it a fault, which is over when its function returns.
func (d *drill) suffer(t *testing.T, f fault) {
	t.Helper()
	n := len(d.rounds)
	r := round{fault: f, began: time.Now()}
	load := d.startLoad(t, d.ledger, d.app, n, d.pace)
	defer load.stop()
	d.awaitFlow(t, f.name+": before the fault", n, r.began)
	d.count(t) // of a process that is about to die, too
	r.faulted = time.Now()
	f.run()
	r.mended = time.Now()
	d.awaitFlow(t, f.name+": after the fault", n, r.mended)
	r.flowing = time.Now()
	load.stop()
	d.rounds = append(d.rounds, r)
	t.Logf("%s: flowed before after %v, lasted %v, flowed %v later", f.name, r.faulted.Sub(r.began).Round(time.Millisecond),
		r.mended.Sub(r.faulted).Round(time.Millisecond), r.flowing.Sub(r.mended).Round(time.Millisecond))
	if !f.leases {
		d.awaitAll(t, f.name, n)
	}
}

// report waits until all that was acknowledged has arrived, and holds each round against its bound of twins.
func (d *drill) report(t *testing.T) {
	t.Helper()
	for n, r := range d.rounds {
		d.awaitAll(t, r.name, n)
	}
	for n, r := range d.rounds {
		s := d.ledger.tally(n)
		t.Logf("%s: %d events accepted, %d without an answer, %d missing, %d twins (bound %d), %d more after answers that came late; latency p50 %v, p99 %v, max %v",
			r.name, s.accepted, s.unsure, s.missing, s.twins, r.twins.may(), s.late, s.quantile(0.5), s.quantile(0.99), s.quantile(1))
		if s.twins > r.twins.may() {
			t.Errorf("%s: %d twins, over the bound of %d", r.name, s.twins, r.twins.may())
		}
	}
	d.checkCounts(t)
}

// awaitFlow waits until enough of what was acknowledged after a time has arrived.
func (d *drill) awaitFlow(t *testing.T, what string, round int, after time.Time) {
	t.Helper()
	harness.Await(t, func() string {
		if acked, whole := d.ledger.count(round, after); whole < flow {
			return fmt.Sprintf("%s: of %d events acknowledged %d arrived everywhere", what, acked, whole)
		}
		return ""
	})
}

// awaitAll waits until all that was acknowledged has arrived.
func (d *drill) awaitAll(t *testing.T, what string, round int) {
	t.Helper()
	harness.Await(t, func() string {
		if acked, whole := d.ledger.count(round, time.Time{}); whole < acked {
			return fmt.Sprintf("%s: of %d events acknowledged %d arrived everywhere", what, acked, whole)
		}
		return ""
	})
}

// finish holds the ledgers against each other, and against what the API shows.
func (d *drill) finish(t *testing.T) {
	t.Helper()
	d.report(t)
	d.ledger.check(t)
	d.checkLate(t)
	accepted := d.ledger.accepted()
	list := d.api().AwaitDeliveries(t, "", func(list []harness.Delivery) bool {
		n := 0
		for _, one := range list {
			if accepted[one.EventID] && one.State == "delivered" {
				n++
			}
		}
		return n >= len(accepted)*len(d.ledger.paths)
	})
	of := map[string]int{}
	for _, one := range list {
		of[one.EventID]++
		if one.State != "delivered" {
			t.Errorf("%s to %d ends %s (%s)", one.EventID, one.TargetID, one.State, one.Reason)
		}
	}
	for id, n := range of {
		if n != len(d.ledger.paths) {
			t.Errorf("%s has %d deliveries to %d targets", id, n, len(d.ledger.paths))
		}
	}
}

// checkLate sees that an attempt that the receiver took, and that another followed, failed as Postrider saw it: it had not had the
// answer in time.
func (d *drill) checkLate(t *testing.T) {
	t.Helper()
	for id, paths := range d.ledger.answeredLate() {
		for _, one := range d.api().Deliveries(t, "eventId="+id) {
			failed := map[int]bool{}
			for _, a := range d.api().Attempts(t, one.ID) {
				failed[a.Number] = a.Class != "ok"
			}
			for _, n := range paths[d.paths[one.TargetID]] {
				if !failed[n] {
					t.Errorf("%s to %s was tried again although attempt %d had been answered in time", id, d.paths[one.TargetID], n)
				}
			}
		}
	}
}
