package bench

import "time"

// Rates and targets of the even load.
const (
	localRate    = 1000 // events/s
	localBase    = 5    // ms, to which two fsyncs come
	remoteRate   = 200
	remoteTarget = 100 // ms
)

// steady measures from the start of a publish to the receipt, at an even rate.
func steady(r *run) error {
	sink, s, err := r.subscribed(1)
	if err != nil {
		return err
	}
	_, sync95, err := fsync(r.dir, time.Second)
	if err != nil {
		return err
	}
	rate, target := float64(localRate), localBase+2*sync95
	if r.Remote {
		rate, target = remoteRate, remoteTarget
	}
	l := load{to: s.endpoint(), eventType: r.kind, publishers: publishers, payload: newPayload(benchSize), most: mostEvents, rate: rate}
	l.duration = time.Second // to warm up
	if _, err := r.deliver(sink, l, 1); err != nil {
		return err
	}
	l.duration = 2 * r.Duration
	waited, waits := s.firstLane("postrider_sqs_wait_seconds")
	m, err := r.measure(sink, l, 1)
	if err != nil {
		return err
	}
	answered := percentiles(m.sent.micros, 50, 95)
	r.atMost("publish to receipt, p95", m.tally.P95, "ms", target)
	r.figure("publish to receipt, p50", m.tally.P50, "ms")
	r.figure("publish to receipt, p99", m.tally.P99, "ms")
	r.figure("publish to 202, p50", answered[0], "ms")
	r.figure("publish to 202, p95", answered[1], "ms")
	r.figure("fsync, p95", sync95, "ms")
	r.figure("published", float64(m.sent.count)/m.sent.took.Seconds(), "/s")
	if sum, n := s.firstLane("postrider_sqs_wait_seconds"); n > waits {
		r.figure("of it in the queue, mean", 1000*(sum-waited)/(n-waits), "ms")
	}
	s.stop()
	return nil
}

// firstLane reads a histogram of the first lane: its sum and its count.
func (s *system) firstLane(name string) (sum, count float64) {
	return s.metric(name + `_sum{lane="first"}`), s.metric(name + `_count{lane="first"}`)
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
