package bench

import (
	"fmt"
	"time"

	"github.com/postrider/postrider/client"
)

// Targets beside a backlog.
const (
	backlogToReach = 0.8
	backlogRSS     = 300 // MiB
	slowType       = "bench.slow.v1"
	slowPath       = 1 // number of the slow target
)

// backlog compares the deliveries to one target without and with very many undelivered ones of another in the same tenant.
func backlog(r *run) error {
	sink, s, err := r.subscribed(1)
	if err != nil {
		return err
	}
	slow, err := r.startSink()
	if err != nil {
		return err
	}
	if err := slow.mode(10*time.Second, 0); err != nil { // in time, but seldom
		return err
	}
	if err := s.subscribe(slow, slowType, slowPath, 1, func(t *client.Target) { t.MaxInFlight = 4 }); err != nil {
		return err
	}
	without, err := r.beside(sink, s)
	if err != nil {
		return err
	}
	s.resetPeak()
	filling := time.Now()
	l := load{to: s.endpoint(), eventType: slowType, run: "slow", publishers: 8, payload: newPayload(waitingBytes), most: r.Pending, batch: 1000}
	filled := publish(r.ctx, l)
	if filled.count < int64(r.Pending)*9/10 {
		return fmt.Errorf("only %d of %d events were accepted for the backlog", filled.count, r.Pending)
	}
	r.tell("%d undelivered after %.0f s", filled.count, time.Since(filling).Seconds())
	if err := r.caughtUp(sink, s); err != nil {
		return err
	}
	with, err := r.beside(sink, s)
	if err != nil {
		return err
	}
	r.atLeast("delivered/s with ÷ without", with/without, "ratio", backlogToReach)
	r.figure("undelivered", float64(filled.count), "")
	r.figure("time to accept them", filled.took.Seconds(), "s")
	r.figure("delivered without", without, "/s")
	r.figure("delivered with", with, "/s")
	if used, known := s.usage(); known {
		r.atMost("peak RSS", mib(used.peak), "MiB", backlogRSS)
	}
	s.api.kill() // a clean stop would wait for the slow target
	return nil
}

// caughtUp waits until an event that is published now is delivered: the log is read in order, so all before it is queued.
func (r *run) caughtUp(sink *remoteSink, s *system) error {
	run, err := sink.open(1, 1)
	if err != nil {
		return err
	}
	begun := time.Now()
	publish(r.ctx, load{to: s.endpoint(), eventType: r.kind, run: run, publishers: 1, payload: newPayload(benchSize), most: 1})
	for {
		if t, err := sink.tally(); err != nil || t.Distinct == 1 {
			r.tell("all of them matched and queued after %.0f s more", time.Since(begun).Seconds())
			return err
		}
		if err := pause(r.ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// beside measures deliveries to the quick target, and returns the median of several measurements.
func (r *run) beside(sink *remoteSink, s *system) (float64, error) {
	l := load{to: s.endpoint(), eventType: r.kind, publishers: publishers, payload: newPayload(benchSize), most: mostEvents, duration: r.Duration}
	var rates []float64
	for i := range pairs + 1 {
		m, err := r.measure(sink, l, 1)
		if err != nil {
			return 0, err
		}
		r.tell("delivered %.0f/s", m.rate)
		if i > 0 {
			rates = append(rates, m.rate)
		}
	}
	return median(rates), nil
}
