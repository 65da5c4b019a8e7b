package bench

import (
	"math"
	"time"

	"github.com/postrider/postrider/client"
)

// Targets of what waits.
const (
	waitTargets  = 10
	waitRSS      = 200 // MiB
	waitCPU      = 2   // percent of a core
	waitStart    = 2   // seconds
	dueShare     = 10  // the part of them that is due at once in the second measurement
	dueToReach   = 1.2
	waitingFor   = 6 * time.Hour
	waitingBytes = 100

	putOff = "postrider_deferred_total"
)

// retries measures many retries that wait, then many that are due at once against as many fresh deliveries.
func retries(r *run) error {
	sink, err := r.startSink()
	if err != nil {
		return err
	}
	targets, err := r.prepare(sink, waitTargets)
	if err != nil {
		return err
	}
	if err := r.dueAtOnce(sink, targets); err != nil {
		return err
	}
	err = r.seed(seeding{run: "waiting", events: r.Pending / waitTargets, targets: targets, size: waitingBytes, attempts: 1, delay: waitingFor})
	if err != nil {
		return err
	}
	return r.waiting()
}

// dueAtOnce compares, in turns, retries that are due with as many fresh deliveries.
func (r *run) dueAtOnce(sink *remoteSink, targets []int64) error {
	n := r.Pending / dueShare
	var ratios, took []float64
	for range pairs {
		fresh, err := r.backlogSent(sink, seeding{events: n / waitTargets, targets: targets, size: benchSize, packed: true})
		if err != nil {
			return err
		}
		due, err := r.backlogSent(sink, seeding{events: n / waitTargets, targets: targets, size: benchSize, attempts: 1, delay: time.Millisecond})
		if err != nil {
			return err
		}
		ratios, took = append(ratios, due.Seconds()/fresh.Seconds()), append(took, due.Seconds())
	}
	r.atMost("due at once: time to send them ÷ as many fresh ones", median(ratios), "ratio", dueToReach)
	r.figure("due at once", float64(n), "")
	r.figure("due at once: time to send them", median(took), "s")
	return nil
}

// prepare registers targets on the run's data folder and stops the server. It returns their ids.
func (r *run) prepare(sink *remoteSink, n int) ([]int64, error) {
	s, err := r.serve()
	if err != nil {
		return nil, err
	}
	defer s.stop()
	if err := s.subscribe(sink, r.kind, 0, n, nil); err != nil {
		return nil, err
	}
	page, err := s.c.Targets(r.ctx, client.PageOptions{Limit: n})
	if err != nil {
		return nil, err
	}
	ids := make([]int64, len(page.Items))
	for i := range page.Items {
		ids[i] = page.Items[i].ID
	}
	return ids, nil
}

// backlogSent fills the queue, starts the server, and returns how long it takes to send all, from the first receipt on.
func (r *run) backlogSent(sink *remoteSink, sd seeding) (time.Duration, error) {
	run, err := sink.open(sd.events, len(sd.targets))
	if err != nil {
		return 0, err
	}
	sd.run = run
	if err := r.seed(sd); err != nil {
		return 0, err
	}
	s, err := r.serve()
	if err != nil {
		return 0, err
	}
	defer s.stop()
	t, err := sink.await(int64(sd.events * len(sd.targets)))
	if err != nil {
		return 0, err
	}
	seen, err := sink.seen()
	if err != nil {
		return 0, err
	}
	all := &sent{accepted: newBitmap(sd.events), count: int64(sd.events)}
	for i := range sd.events {
		all.accepted.set(i)
	}
	r.add(compare(all, seen, len(sd.targets), t))
	took := t.LastNew.Sub(t.First)
	r.tell("%d sent in %.1f s; put off, for want of a slot: %.0f", t.Distinct, took.Seconds(), s.metric(putOff))
	return took, pause(r.ctx, time.Second)
}

// waiting measures a server whose queue is full of what is not due.
func (r *run) waiting() error {
	s, err := r.serve()
	if err != nil {
		return err
	}
	defer s.stop()
	started, known := s.usage()
	if err := r.settled(s); err != nil {
		return err
	}
	r.figure("pending", float64(r.Pending), "")
	before, _ := s.usage()
	begun := time.Now()
	if err := pause(r.ctx, 2*r.Duration); err != nil {
		return err
	}
	if after, _ := s.usage(); known {
		r.atMost("pending: idle CPU", math.Round(1000*(after.cpu-before.cpu).Seconds()/time.Since(begun).Seconds())/10, "%", waitCPU)
		r.atMost("pending: RSS", mib(after.rss), "MiB", waitRSS)
	}
	r.atMost("pending: start to ready", s.api.took.Seconds(), "s", waitStart)
	if known {
		r.figure("pending: CPU time of the start", started.cpu.Seconds(), "s")
	}
	return nil
}

// settled waits until a server that has begun uses little of a core: it reads a long queue beside its work.
func (r *run) settled(s *system) error {
	for range 60 {
		before, _ := s.usage()
		if err := pause(r.ctx, time.Second); err != nil {
			return err
		}
		if after, known := s.usage(); !known || after.cpu-before.cpu < 50*time.Millisecond {
			return nil
		}
	}
	return nil
}
