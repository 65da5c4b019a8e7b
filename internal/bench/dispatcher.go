package bench

import (
	"fmt"
	"time"
)

const (
	cpuToReach    = 1.3
	cpuDeliveries = 20_000
)

// dispatcher compares what a delivery costs a dispatcher with what it costs the embedded one.
func dispatcher(r *run) error {
	sink, s, err := r.subscribed(1)
	if err != nil {
		return err
	}
	m, err := r.bulk(sink, s, cpuDeliveries, 1, s.of("dispatcher").usage)
	if err != nil {
		return err
	}
	s.stop()
	embedded, err := r.embedded(sink)
	if err != nil {
		return err
	}
	if m.cpu > 0 && embedded > 0 {
		r.atMost("CPU of the dispatcher per delivery ÷ the embedded one's", micros(m.cpu)/micros(embedded), "ratio", cpuToReach)
		r.figure("CPU of the dispatcher per delivery", micros(m.cpu), "µs")
		r.figure("CPU of the embedded dispatcher per delivery, its file included", micros(embedded), "µs")
	}
	return nil
}

// embedded measures the embedded dispatcher in a process of its own, on a file whose queue was filled before. Beside it there is
// only a retry manager, which hands back what the dispatcher defers. Its start is left out.
func (r *run) embedded(sink *remoteSink) (cpu time.Duration, err error) {
	inner := &run{Options: r.Options, ctx: r.ctx, kind: r.kind, record: &CaseRecord{Name: r.record.Name}}
	inner.Serve, inner.Remote, inner.Split = nil, false, false
	err = inner.inFolder(func(e *run) error {
		targets, err := e.prepare(sink, 1)
		if err != nil {
			return err
		}
		run, err := sink.open(cpuDeliveries, 1)
		if err != nil {
			return err
		}
		if err := e.seed(seeding{run: run, events: cpuDeliveries, targets: targets, size: benchSize, packed: true}); err != nil {
			return err
		}
		s, err := e.serveRoles([]string{"dispatcher,retry"})
		if err != nil {
			return err
		}
		cpu, err = s.cpuOfDeliveries(sink, cpuDeliveries)
		s.stop()
		return err
	})
	return cpu, err
}

// cpuOfDeliveries is what a delivery costs, from the first on; 0 where the system does not tell.
func (s *system) cpuOfDeliveries(sink *remoteSink, n int64) (time.Duration, error) {
	first, err := sink.await(1)
	if err != nil {
		return 0, err
	}
	before, _ := s.usage()
	last, err := sink.await(n)
	if err != nil {
		return 0, err
	}
	if last.Distinct < n {
		return 0, fmt.Errorf("the embedded dispatcher has delivered %d of %d", last.Distinct, n)
	}
	after, known := s.usage()
	if !known || last.Distinct == first.Distinct {
		return 0, nil
	}
	return (after.cpu - before.cpu) / time.Duration(last.Distinct-first.Distinct), nil
}
