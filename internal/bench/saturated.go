package bench

import "os"

const (
	benchSize  = 1 << 10
	publishers = 64
	mostEvents = 1 << 20 // of one measurement
	pairs      = 3       // of measurements, with and without
)

// saturated compares with the bare loop, in pairs, so that what else the machine does meets both.
func saturated(r *run) error {
	sink, s, err := r.subscribed(1)
	if err != nil {
		return err
	}
	loop, err := r.startBare(sink)
	if err != nil {
		return err
	}
	l := load{eventType: r.kind, publishers: publishers, payload: newPayload(benchSize), most: mostEvents, duration: r.Duration}
	ends := func() (usage, bool) { return ends(sink) }
	var ratios, ours, theirs, cpu, bareCPU, work []float64
	for i := range pairs + 1 {
		l.to = loop.to
		b, err := r.deliver(sink, l, 1, loop.usage, ends)
		if err != nil {
			return err
		}
		l.to = s.endpoint()
		m, err := r.measure(sink, l, 1, s.usage, ends)
		if err != nil {
			return err
		}
		r.tell("delivered %.0f/s, bare loop %.0f/s", m.rate, b.rate)
		if i == 0 {
			continue // it warmed up
		}
		ratios, ours, theirs = append(ratios, m.rate/b.rate), append(ours, m.rate), append(theirs, b.rate)
		cpu, bareCPU = append(cpu, micros(m.cpu)), append(bareCPU, micros(b.cpu))
		if m.cpu > 0 {
			work = append(work, float64(b.cpu+b.endsCPU)/float64(m.cpu+m.endsCPU))
		}
	}
	r.atLeast("delivered/s ÷ bare loop's", median(ratios), "ratio", 0.5)
	r.figure("delivered", median(ours), "/s")
	r.figure("bare loop", median(theirs), "/s")
	if len(work) > 0 {
		r.figure("the same of CPU time, load and receiver included", median(work), "ratio")
		r.figure("CPU of the server per delivery", median(cpu), "µs")
		r.figure("CPU of the bare loop per event", median(bareCPU), "µs")
	}
	s.stop()
	return nil
}

// ends is what the load and the receiver use, which stand at both ends of whatever is measured.
func ends(sink *remoteSink) (usage, bool) {
	load, ok := usageOf(os.Getpid())
	receiver, _ := sink.usage()
	return usage{cpu: load.cpu + receiver.cpu}, ok
}
