package stack

import "testing"

// What a fault may make twins of, in a drill. docs/delivery.md gives the rules that these are the sums of.
const (
	uncommitted = fanOut * (1000/50 + posters*1000/200) // the deliveries of the last second's events at the consumer: produceEvery, postEvery
	held        = 2*inFlight + 100                      // deliveries in a dispatcher's hands: credit, what is being settled, and one pack
	moving      = 100                                   // deliveries between two lanes in a retry manager's hands
)

// fanOut is how many targets a drill has; each gets every event.
const fanOut = 2

// twins are deliveries that may be made twice, by who can tell.
type twins struct {
	held   int // that were in a dispatcher's hands: SQS says that it hands them out again, and a dispatcher counts them
	again  int // of events that a consumer which lives on is handed again: it counts their records
	unseen int // of what a process had in hand that died, or that had no answer from the queue: nobody knows of them
	back   int // none: a dispatcher that leaves gives them back unsent, which the next cannot tell from those that were held
}

// may are the twins that there may be.
func (n twins) may() int { return n.held + n.again + n.unseen }

// counted is what the processes of a drill tell of twins.
type counted struct{ redelivered, readAgain int }

// count asks the processes that run, and adds what it knows of those that have ended.
func (d *drill) count(t *testing.T) (all counted) {
	t.Helper()
	for _, p := range d.caches() {
		d.counts[p] = counted{
			redelivered: int(p.Metric(t, `postrider_twins_total{cause="redelivered"}`) + p.Metric(t, `postrider_twins_total{cause="lease_expired"}`)),
			readAgain:   int(p.Metric(t, `postrider_kafka_read_again_records_total{log="events"}`)),
		}
	}
	for _, of := range d.counts {
		all.redelivered += of.redelivered
		all.readAgain += of.readAgain
	}
	return all
}

// checkCounts holds what the processes tell of twins against those that there are, and against the bounds by cause.
func (d *drill) checkCounts(t *testing.T) {
	t.Helper()
	told := d.count(t)
	var may twins
	explained := 0 // twins that somebody must have told of
	for n, r := range d.rounds {
		may.held += r.twins.held + r.twins.back
		may.again += r.twins.again
		explained += max(d.ledger.tally(n).twins-r.twins.unseen, 0)
	}
	t.Logf("told of: %d deliveries that came again, %d records read again", told.redelivered, told.readAgain)
	if explained > told.redelivered+fanOut*told.readAgain {
		t.Errorf("at least %d twins can be told, but only %d deliveries that came again and %d records read again are", explained, told.redelivered, told.readAgain)
	}
	if told.redelivered > may.held {
		t.Errorf("%d deliveries came again, over the bound of %d", told.redelivered, may.held)
	}
	if fanOut*told.readAgain > may.again {
		t.Errorf("%d records were read again for %d targets, over the bound of %d twins", told.readAgain, fanOut, may.again)
	}
}
