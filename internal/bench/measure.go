package bench

import (
	"fmt"
	"time"
)

// measured is one measurement of a load that was delivered.
type measured struct {
	sent    *sent
	fan     int // targets of each event
	tally   tally
	rate    float64       // deliveries/s, from the first publish to the last arrival
	cpu     time.Duration // of the server per delivery; 0: unknown
	endsCPU time.Duration // of load and receiver per delivery
	ledger  Ledger
}

// deliver publishes a load to fan targets, waits for its deliveries, and keeps the ledger. used tells the CPU time of what
// stands between, and of the ends; none: it is not wanted.
func (r *run) deliver(sink *remoteSink, l load, fan int, used ...func() (usage, bool)) (*measured, error) {
	before := cpuOf(used)
	m, err := r.send(sink, l, fan)
	if err != nil {
		return nil, err
	}
	if err := m.await(sink); err != nil {
		return nil, err
	}
	after := cpuOf(used)
	if n := time.Duration(m.tally.Distinct); n > 0 {
		m.cpu, m.endsCPU = (after[0]-before[0])/n, (after[1]-before[1])/n
	}
	if err := m.reckon(sink); err != nil {
		return nil, err
	}
	return m, m.sent.check()
}

// measure delivers a load, and adds what became of it to the ledger of the case.
func (r *run) measure(sink *remoteSink, l load, fan int, used ...func() (usage, bool)) (*measured, error) {
	m, err := r.deliver(sink, l, fan, used...)
	if m != nil {
		r.add(m.ledger)
	}
	return m, err
}

// send publishes a load to fan targets.
func (r *run) send(sink *remoteSink, l load, fan int) (m *measured, err error) {
	if l.run, err = sink.open(l.from+l.most, fan); err != nil {
		return nil, err
	}
	return &measured{fan: fan, sent: publish(r.ctx, l)}, nil
}

// received waits for the deliveries of what was sent, and adds them to the ledger of the case.
func (r *run) received(sink *remoteSink, m *measured) error {
	if err := m.await(sink); err != nil {
		return err
	}
	if err := m.reckon(sink); err != nil {
		return err
	}
	r.add(m.ledger)
	return m.sent.check()
}

// check reports what was not answered as it should be.
func (s *sent) check() error {
	if fault := s.fault.Load(); fault != nil {
		return fmt.Errorf("%d events were not answered with 202 or 503: %s", s.failed.Load(), *fault)
	}
	if s.count == 0 {
		return fmt.Errorf("nothing was accepted; %d events were refused", s.refused.Load())
	}
	return nil
}

// await waits for the deliveries.
func (m *measured) await(sink *remoteSink) (err error) {
	if m.tally, err = sink.await(m.sent.count * int64(m.fan)); err == nil {
		m.rate = float64(m.tally.Distinct) / m.tally.LastNew.Sub(m.sent.begun).Seconds()
	}
	return err
}

// reckon makes the ledger.
func (m *measured) reckon(sink *remoteSink) error {
	seen, err := sink.seen()
	if err == nil {
		m.ledger = compare(m.sent, seen, m.fan, m.tally)
	}
	return err
}

// cpuOf is the CPU time of one or two; 0 where it is unknown.
func cpuOf(used []func() (usage, bool)) (cpu [2]time.Duration) {
	for i, f := range used {
		if u, ok := f(); ok {
			cpu[i] = u.cpu
		}
	}
	return cpu
}

// compare makes the ledger of one measurement.
func compare(s *sent, seen bitmap, fan int, t tally) Ledger {
	l := Ledger{Accepted: s.count * int64(fan), Twins: t.Twins, Foreign: t.Foreign, Refused: s.refused.Load(), Failed: s.failed.Load()}
	for n := range len(s.accepted) * 64 {
		if !s.accepted.has(n) {
			continue
		}
		for to := range fan {
			if seen.has(n*fan + to) {
				l.Arrived++
			} else {
				l.Missing++
			}
		}
	}
	return l
}

// bare is the bare loop.
type bare struct {
	*process
	to endpoint
}

// startBare starts the bare loop in front of a sink.
func (r *run) startBare(sink *remoteSink) (*bare, error) {
	p, err := r.start(nil, "bench-child", string(ChildProxy), sink.target(0))
	if err != nil {
		return nil, err
	}
	return &bare{process: p, to: endpoint{url: p.url + "/webhooks/events"}}, nil
}
