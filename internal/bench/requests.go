package bench

import (
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	sqsToReach    = 60 // requests per 1,000 deliveries
	fanSQSToReach = 10
	settling      = 2 * time.Second // until what was delivered is removed from the queue

	tenantsBeside = 1000
	subscribing   = 16 // tenants side by side
	fanRequests   = 100
)

// requests counts what deliveries cost in requests to SQS, all roles together: the events are there when the consumer starts.
func requests(r *run) error {
	if _, err := r.apart(); err != nil {
		return err
	}
	sink, err := r.startSink()
	if err != nil {
		return err
	}
	s, err := r.serve()
	if err != nil {
		return err
	}
	l := load{to: s.endpoint(), publishers: publishers, payload: newPayload(benchSize)}
	one, many, fan := l, l, l
	one.eventType, one.most, one.batch, one.publishers = newKind(), 10_000, batchSize, 2
	many.eventType, many.most, many.tenants = newKind(), 4000, tenantsBeside
	fan.eventType, fan.most = newKind(), 200
	if err := s.subscribe(sink, one.eventType, 0, 1, nil); err != nil {
		return err
	}
	if err := s.subscribe(sink, fan.eventType, 0, fanRequests, nil); err != nil {
		return err
	}
	if err := s.subscribeTenants(sink, many.eventType, tenantsBeside); err != nil {
		return err
	}
	const name = "SQS requests per 1,000 deliveries: "
	cost, err := r.requestsOf(sink, s, one, 1)
	if err != nil {
		return err
	}
	r.atMost(name+"one tenant", cost, "", sqsToReach)
	if cost, err = r.requestsOf(sink, s, many, 1); err != nil {
		return err
	}
	r.figure(fmt.Sprintf("%s%d tenants", name, tenantsBeside), cost, "")
	if cost, err = r.requestsOf(sink, s, fan, fanRequests); err != nil {
		return err
	}
	r.atMost(fmt.Sprintf("%sone event to %d targets", name, fanRequests), cost, "", fanSQSToReach)
	s.stop()
	return nil
}

// requestsOf publishes a load while there is no consumer, starts one, and counts the requests until all is delivered and removed.
func (r *run) requestsOf(sink *remoteSink, s *system, l load, fan int) (float64, error) {
	s.end("consumer")
	m, err := r.send(sink, l, fan)
	if err != nil {
		return 0, err
	}
	before := asked(s.metrics())
	if _, err := s.add("consumer"); err != nil {
		return 0, err
	}
	if err := r.received(sink, m); err != nil {
		return 0, err
	}
	if err := pause(r.ctx, settling); err != nil {
		return 0, err
	}
	cost := 1000 * (asked(s.metrics()) - before) / float64(m.tally.Distinct)
	r.tell("%d deliveries: %.1f requests per 1,000", m.tally.Distinct, cost)
	return cost, nil
}

// subscribeTenants registers the sink's first target for each of n tenants.
func (s *system) subscribeTenants(sink *remoteSink, eventType string, n int) error {
	var group errgroup.Group
	group.SetLimit(subscribing)
	for i := range n {
		group.Go(func() error {
			c, err := s.clientOf(tenantName(i))
			if err != nil {
				return err
			}
			return s.subscribeAs(c, sink, eventType, 0, 1, nil)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return s.settle()
}

func tenantName(n int) string { return fmt.Sprint("bench-", n) }
