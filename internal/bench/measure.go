package bench

import (
	"fmt"
	"time"
)

// measured is one measurement of a load that was delivered.
type measured struct {
	sent    *sent
	tally   tally
	rate    float64       // deliveries/s, from the first publish to the last arrival
	cpu     time.Duration // of the server per delivery; 0: unknown
	endsCPU time.Duration // of load and receiver per delivery
	ledger  Ledger
}

// deliver publishes a load to fan targets, waits for its deliveries, and keeps the ledger. used tells the CPU time of what
// stands between, and of the ends; none: it is not wanted.
func (r *run) deliver(sink *remoteSink, l load, fan int, used ...func() (usage, bool)) (*measured, error) {
	run, err := sink.open(l.from+l.most, fan)
	if err != nil {
		return nil, err
	}
	l.run = run
	before := cpuOf(used)
	m := &measured{sent: publish(r.ctx, l)}
	if m.tally, err = sink.await(m.sent.count * int64(fan)); err != nil {
		return nil, err
	}
	after := cpuOf(used)
	m.rate = float64(m.tally.Distinct) / m.tally.LastNew.Sub(m.sent.begun).Seconds()
	if n := time.Duration(m.tally.Distinct); n > 0 {
		m.cpu, m.endsCPU = (after[0]-before[0])/n, (after[1]-before[1])/n
	}
	seen, err := sink.seen()
	if err != nil {
		return nil, err
	}
	m.ledger = compare(m.sent, seen, fan, m.tally)
	if fault := m.sent.fault.Load(); fault != nil {
		return m, fmt.Errorf("%d events were not answered with 202 or 503: %s", m.sent.failed.Load(), *fault)
	}
	if m.sent.count == 0 {
		return m, fmt.Errorf("nothing was accepted; %d events were refused", m.sent.refused.Load())
	}
	return m, nil
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
