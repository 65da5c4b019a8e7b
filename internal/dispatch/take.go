package dispatch

import (
	"context"
	"sync"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/steady"
)

const (
	leaseMargin = 2 * time.Second // of a lease, after the longest attempt: to record it and to settle
	splitAfter  = 3               // receives of a pack of several, after which its deliveries are put singly
	endAfter    = 5               // receives of a single delivery, after which it ends: it may be what kills its dispatchers
)

// takeAll takes from both lanes until ctx ends. The error says that the queue is closed.
func (d *Dispatcher) takeAll(ctx context.Context, l *life) error {
	var takers sync.WaitGroup
	stop, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for _, lane := range [...]postrider.Lane{postrider.LaneFirst, postrider.LaneBulk} {
		takers.Go(func() {
			if err := d.take(stop, l, lane); err != nil {
				cancel(err)
			}
		})
	}
	takers.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(stop)
}

// take takes from one lane, as far as there is credit and outcomes can be recorded.
func (d *Dispatcher) take(stop context.Context, l *life, lane postrider.Lane) error {
	var pause steady.Backoff
	for d.recorder.calm(stop) {
		credit := d.slots.await(stop, lane)
		if credit == 0 {
			break
		}
		leases, err := d.Queue.Take(stop, postrider.TakeRequest{Lane: lane, Credit: credit, Full: d.slots.full})
		d.slots.took(lane, leases)
		switch {
		case err == nil:
			pause.Reset()
			d.recorder.calm(stop) // what a take brings that began before is not sent either
			for _, lease := range leases {
				d.begin(l, lane, lease) //nolint:contextcheck // what is begun outlasts the taking
			}
		case stop.Err() != nil:
			return nil
		case postrider.CodeOf(err) == postrider.CodeGone:
			return err
		default:
			d.metrics.failures.WithLabelValues("take").Inc()
			pause.After(stop, d.Logger, "take of deliveries", err)
		}
	}
	return nil
}

// begin starts the work on a lease.
func (d *Dispatcher) begin(l *life, lane postrider.Lane, lease *postrider.Lease) {
	if lease.Pack == nil || len(lease.Pack.Deliveries) == 0 {
		d.jobs.Go(func() { d.settle(l.rest, []*parcel{newParcel(l, lane, lease)}) })
		return
	}
	n := len(lease.Pack.Deliveries)
	if lease.Receives > 1 {
		d.metrics.redelivered.Add(float64(n))
	}
	p := newParcel(l, lane, lease)
	if n > 1 && lease.Receives >= splitAfter {
		d.slots.unclaimedAll(lane, lease.Pack.Tenant, n)
		d.jobs.Go(func() { d.split(p) })
		return
	}
	d.waited(lane, lease)
	for i := range lease.Pack.Deliveries {
		j := &job{parcel: p, delivery: lease.Pack.Deliveries[i]}
		j.claim = claim{lane: lane, tenantName: lease.Pack.Tenant, targetID: j.delivery.TargetID, pending: true}
		d.workers.run(func() { d.deliver(j) })
	}
}

// waited tells how long deliveries waited for this attempt. Not all come by way of a retry manager, so none of them tells it.
func (d *Dispatcher) waited(lane postrider.Lane, lease *postrider.Lease) {
	if d.Tracer == nil || lane != postrider.LaneBulk || lease.Receives > 1 {
		return
	}
	now := d.Clock()
	for i := range lease.Pack.Deliveries {
		d.Tracer.Waited(&lease.Pack.Deliveries[i], now)
	}
}

// split puts the deliveries of a pack singly.
func (d *Dispatcher) split(p *parcel) {
	d.metrics.split.Inc()
	d.Logger.Warn("a pack came again and again; its deliveries are put singly", "tenant", p.lease.Pack.Tenant, "receives", p.lease.Receives)
	for _, delivery := range p.lease.Pack.Deliveries {
		p.follow = append(p.follow, follow{lane: p.lane, delivery: delivery, single: true})
	}
	d.settle(p.life.rest, []*parcel{p})
}

// unclaimedAll ends the time as pending of n deliveries that will not ask for slots.
func (s *slots) unclaimedAll(lane postrider.Lane, tenant string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tenant(tenant, time.Now()).pending -= n
	s.lanes[lane].pending -= n
	s.pending -= n
	s.kick()
}
