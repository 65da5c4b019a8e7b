package bench

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider"
)

// Targets of the production engines.
const (
	scaleToReach  = 1.8
	scaleEvents   = 4000
	scaleAnswer   = 100 * time.Millisecond
	cpuToReach    = 1.3
	sqsToReach    = 60 // requests per 1,000 deliveries
	cpuDeliveries = 10_000
)

// scale compares two dispatchers with one, of targets that answer slowly, and two consumers with one.
func scale(r *run) error {
	sink, err := r.startSink()
	if err != nil {
		return err
	}
	s, err := r.serve()
	if err != nil {
		return err
	}
	if err := s.subscribe(sink, r.kind, 0, 1, nil); err != nil {
		return err
	}
	if err := sink.mode(scaleAnswer, 0); err != nil {
		return err
	}
	one, err := r.bulk(sink, s, scaleEvents, 1)
	if err != nil {
		return err
	}
	if _, err := s.add("dispatcher"); err != nil {
		return err
	}
	two, err := r.bulk(sink, s, scaleEvents, 1)
	if err != nil {
		return err
	}
	r.atLeast("two dispatchers ÷ one, answers after 100 ms", two.rate/one.rate, "ratio", scaleToReach)
	r.figure("one dispatcher", one.rate, "/s")
	s.stop()
	return nil
}

// bulk publishes events by batch and waits for their deliveries.
func (r *run) bulk(sink *remoteSink, s *system, events, fan int, used ...func() (usage, bool)) (*measured, error) {
	l := load{to: s.endpoint(), eventType: r.kind, publishers: 2, payload: newPayload(benchSize), most: events, batch: batchSize}
	m, err := r.deliver(sink, l, fan, used...)
	if m != nil {
		m.rate = float64(m.tally.Distinct) / m.tally.LastNew.Sub(m.tally.First).Seconds()
		r.add(m.ledger)
		r.tell("delivered %.0f/s", m.rate)
	}
	return m, err
}

// dispatcher compares what a delivery costs a dispatcher with what it costs the embedded one, and counts requests to SQS.
func dispatcher(r *run) error {
	sink, err := r.startSink()
	if err != nil {
		return err
	}
	s, err := r.serve()
	if err != nil {
		return err
	}
	if err := s.subscribe(sink, r.kind, 0, 1, nil); err != nil {
		return err
	}
	d := s.of("dispatcher")
	before := s.metric("postrider_sqs_requests_total")
	m, err := r.bulk(sink, s, cpuDeliveries, 1, d.usage)
	if err != nil {
		return err
	}
	if err := pause(r.ctx, time.Second); err != nil {
		return err
	}
	asked := s.metric("postrider_sqs_requests_total") - before
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
	if asked > 0 {
		r.atMost("SQS requests per 1,000 deliveries", 1000*asked/float64(m.tally.Distinct), "", sqsToReach)
	}
	return nil
}

// embedded measures the embedded dispatcher alone, on a queue that was filled before.
func (r *run) embedded(sink *remoteSink) (time.Duration, error) {
	inner := &run{Options: r.Options, ctx: r.ctx, kind: r.kind, record: &CaseRecord{Name: r.record.Name}}
	inner.Serve, inner.Remote, inner.Split = nil, false, false
	var cpu time.Duration
	err := inner.inFolder(func(e *run) error {
		targets, err := e.prepare(sink, 1)
		if err != nil {
			return err
		}
		run, err := sink.open(cpuDeliveries, 1)
		if err != nil {
			return err
		}
		if err := e.seed(seeding{run: run, events: cpuDeliveries, targets: targets, size: benchSize, lane: postrider.LaneFirst, packed: true}); err != nil {
			return err
		}
		s, err := e.serve()
		if err != nil {
			return err
		}
		t, err := sink.await(cpuDeliveries)
		if err != nil {
			return err
		}
		if u, ok := s.usage(); ok && t.Distinct > 0 {
			cpu = u.cpu / time.Duration(t.Distinct)
		}
		s.stop()
		return nil
	})
	return cpu, err
}

// of is the first process of a role.
func (s *system) of(role string) *process {
	for i, p := range s.procs {
		if s.roles[i] == role {
			return p
		}
	}
	return s.api
}

// metric sums a counter over all processes and labels.
func (s *system) metric(name string) (sum float64) {
	for _, p := range s.procs {
		sum += s.r.metricOf(p, name)
	}
	return sum
}

func (r *run) metricOf(p *process, name string) (sum float64) {
	req, err := http.NewRequestWithContext(r.ctx, http.MethodGet, p.url+"/metrics", nil)
	if err != nil {
		return 0
	}
	answer, err := newHTTP().Do(req)
	if err != nil {
		fmt.Fprintf(r.Progress, "  no metrics of %s: %v\n", p.url, err)
		return 0
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		line := lines.Text()
		if !strings.HasPrefix(line, name+"{") && !strings.HasPrefix(line, name+" ") {
			continue
		}
		v, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err == nil {
			sum += v
		}
	}
	return sum
}
