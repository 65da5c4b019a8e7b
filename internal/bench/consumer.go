package bench

import (
	"fmt"
	"time"
)

const (
	consumerToReach = 1
	backlogEvents   = 10_000 // of one measurement
	bareSenders     = 8      // of the bare loop that shows what the queue has to give
)

// consumer compares a consumer with a bare loop that polls the same records and sends the same payloads. Both begin with the same
// backlog while no other role runs; dispatchers send it afterwards.
func consumer(r *run) error {
	a, err := r.apart()
	if err != nil {
		return err
	}
	if len(a.events.brokers) == 0 {
		r.note("not measured: the bare loop speaks to Kafka without TLS and passwords only")
		return nil
	}
	sink, s, err := r.subscribed(1)
	if err != nil {
		return err
	}
	s.end("consumer", "dispatcher", "retry", "archiver")
	var ratios, ours, bare, several []float64
	for i := range pairs + 1 {
		c, err := r.againstBare(a, sink, s)
		if err != nil {
			return err
		}
		r.tell("consumer %.0f events/s, bare loop %.0f, of %d senders %.0f", c.consumer, c.bare, bareSenders, c.several)
		if i > 0 {
			ratios, ours = append(ratios, c.consumer/c.bare), append(ours, c.consumer)
			bare, several = append(bare, c.bare), append(several, c.several)
		}
	}
	s.stop()
	r.atLeast("events matched and queued/s ÷ bare loop's", median(ratios), "ratio", consumerToReach)
	r.figure("consumer", median(ours), "/s")
	r.figure("bare loop", median(bare), "/s")
	r.figure(fmt.Sprintf("bare loop of %d senders", bareSenders), median(several), "/s")
	return nil
}

// consumed is events a second.
type consumed struct{ consumer, bare, several float64 }

// againstBare publishes a backlog, measures the bare loops and the consumer on it, and has it delivered.
func (r *run) againstBare(a *apart, sink *remoteSink, s *system) (c consumed, err error) {
	from, err := a.ends(r.ctx)
	if err != nil {
		return c, err
	}
	m, err := r.send(sink, load{to: s.endpoint(), eventType: r.kind, publishers: 2, payload: newPayload(benchSize), most: backlogEvents, batch: batchSize}, 1)
	if err != nil {
		return c, err
	}
	if err := m.sent.check(); err != nil {
		return c, err
	}
	if c.bare, err = a.bareLoop(r.ctx, from, int(m.sent.count), 1); err != nil {
		return c, err
	}
	if c.several, err = a.bareLoop(r.ctx, from, int(m.sent.count), bareSenders); err != nil {
		return c, err
	}
	if c.consumer, err = s.catchUp(1, int(m.sent.count)); err != nil {
		return c, err
	}
	s.end("consumer")
	if _, err := s.add("dispatcher"); err != nil {
		return c, err
	}
	defer s.end("dispatcher")
	if err := r.received(sink, m); err != nil {
		return c, err
	}
	return c, pause(r.ctx, time.Second) // for the last removals
}
