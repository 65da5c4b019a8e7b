package bench

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	fanTargets  = 500
	fanEvents   = 32 // of one measurement
	fanToReach  = 0.7
	fanPosts    = fanTargets * fanEvents
	fanParallel = 64
)

// fanout compares the deliveries of events with very many targets with bare POSTs to the same receiver.
func fanout(r *run) error {
	sink, s, err := r.subscribed(fanTargets)
	if err != nil {
		return err
	}
	l := load{to: s.endpoint(), eventType: r.kind, publishers: 1, payload: newPayload(benchSize), most: fanEvents}
	var ratios, ours, theirs, cpu, bareCPU []float64
	for i := range pairs + 1 {
		before, _ := ends(sink)
		b, err := r.bareFan(sink)
		if err != nil {
			return err
		}
		after, known := ends(sink)
		m, err := r.measure(sink, l, fanTargets, s.usage, sink.usage)
		if err != nil {
			return err
		}
		r.tell("delivered %.0f/s, bare POSTs %.0f/s", m.rate, b)
		if i > 0 {
			ratios, ours, theirs = append(ratios, m.rate/b), append(ours, m.rate), append(theirs, b)
			if known {
				cpu, bareCPU = append(cpu, micros(m.cpu+m.endsCPU)), append(bareCPU, micros(after.cpu-before.cpu)/fanPosts)
			}
		}
	}
	r.atLeast("deliveries/s ÷ bare POSTs/s", median(ratios), "ratio", fanToReach)
	if len(cpu) > 0 {
		r.figure("the same of CPU time, receiver included", median(bareCPU)/median(cpu), "ratio")
		r.figure("CPU per delivery, receiver included", median(cpu), "µs")
	}
	r.figure("delivered", median(ours), "/s")
	r.figure("bare POSTs", median(theirs), "/s")
	return nil
}

// bareFan POSTs as many times as a measurement has deliveries, and returns how many it did a second.
func (r *run) bareFan(sink *remoteSink) (float64, error) {
	if _, err := sink.open(1, fanTargets); err != nil {
		return 0, err
	}
	client, body := newHTTP(), stamped(newPayload(benchSize), time.Now())
	defer client.CloseIdleConnections()
	var next, failed atomic.Int64
	var group sync.WaitGroup
	begun := time.Now()
	for range fanParallel {
		group.Go(func() {
			for n := next.Add(1); n <= fanPosts; n = next.Add(1) {
				if status, _ := r.post(client, endpoint{url: sink.target(int(n) % fanTargets), header: http.Header{}}, r.kind, body); status != http.StatusOK {
					failed.Add(1)
				}
			}
		})
	}
	group.Wait()
	return float64(fanPosts-failed.Load()) / time.Since(begun).Seconds(), r.ctx.Err()
}
