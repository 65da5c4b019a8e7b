package stack

import (
	"fmt"
	"testing"
	"time"

	"github.com/postrider/postrider/test/harness"
)

// outcomesAlone takes the Kafka of the outcomes away, and no other server: deliveries go on, their outcomes go by the queue, and
// the archive has them while the outage lasts.
func outcomesAlone(t *testing.T) {
	kafka := beforeKafka(t)
	f := newFleet(t, drillSettings()...)
	f.at.outcomes = kafka.Listen
	d := newDrill(t, f, f.startAll(t))
	for _, c := range []struct {
		what string
		part func(*testing.T) (mend func())
	}{{"cut", kafka.cut}, {"frozen", kafka.freeze}} {
		d.suffer(t, fault{name: "connections to the outcomes' Kafka " + c.what, run: func() {
			before := d.diverted(t)
			mend := c.part(t)
			d.awaitDiverted(t, before)
			for range 3 { // nothing waits for the log any more, also when it is tried again
				began := time.Now()
				d.awaitFlow(t, "without the outcomes' Kafka", len(d.rounds), began)
				d.awaitArchived(t, len(d.rounds), began)
			}
			mend()
		}})
	}
	d.finish(t)
	d.awaitReady(t, "the archiver", d.processes["archiver"])
}

// diverted counts, by role, the outcomes that went to the queue.
func (d *drill) diverted(t *testing.T) map[string]float64 {
	t.Helper()
	return map[string]float64{
		"consumer":   d.processes["consumer"].Metric(t, "postrider_consumer_outcomes_diverted_total"),
		"dispatcher": d.processes["dispatcher"].Metric(t, "postrider_dispatch_outcomes_diverted_total"),
	}
}

// awaitDiverted waits until consumer and dispatcher have left the log alone.
func (d *drill) awaitDiverted(t *testing.T, before map[string]float64) {
	t.Helper()
	harness.Await(t, func() string {
		for role, n := range d.diverted(t) {
			if n == before[role] {
				return "no outcomes of the " + role + " go to the queue"
			}
		}
		return ""
	})
}

// awaitArchived waits until the API shows deliveries of a round that were acknowledged after a time as delivered.
func (d *drill) awaitArchived(t *testing.T, round int, after time.Time) {
	t.Helper()
	ids := d.ledger.arrivedAfter(round, after)
	harness.Await(t, func() string {
		for _, id := range ids[:flow] {
			n := 0
			for _, one := range d.api().Deliveries(t, "eventId="+id) {
				if one.State == "delivered" {
					n++
				}
			}
			if n != len(d.ledger.paths) {
				return fmt.Sprintf("%s arrived, and the archive has %d of %d deliveries", id, n, len(d.ledger.paths))
			}
		}
		return ""
	})
}
