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
	accepted = "postrider_events_accepted_total"
	matched  = "postrider_events_matched_total"

	scaleToReach   = 1.8
	scaleEvents    = 4000
	scaleAnswer    = 100 * time.Millisecond
	consumerEvents = 20_000
	cpuToReach     = 1.3
	sqsToReach     = 60 // requests per 1,000 deliveries
	cpuDeliveries  = 10_000
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
	if err := sink.mode(0, 0); err != nil {
		return err
	}
	if err := r.consumers(sink, s); err != nil {
		return err
	}
	s.stop()
	return nil
}

// consumers compares two consumers with one: how long they take to match and queue what was published while there was none. The
// dispatchers send it meanwhile.
func (r *run) consumers(sink *remoteSink, s *system) error {
	var rates [2]float64
	for i := range rates {
		s.end("consumer")
		before := s.metric(accepted)
		l := load{to: s.endpoint(), eventType: r.kind, publishers: 2, payload: newPayload(benchSize), most: consumerEvents, batch: batchSize}
		done := make(chan error, 1)
		go func() {
			m, err := r.deliver(sink, l, 1)
			if m != nil {
				r.add(m.ledger)
			}
			done <- err
		}()
		err := s.until(accepted, before+consumerEvents)
		if err == nil {
			rates[i], err = s.catchUp(i+1, consumerEvents)
		}
		if waited := <-done; err == nil {
			err = waited
		}
		if err != nil {
			return err
		}
		r.tell("%d consumers: %.0f events/s", i+1, rates[i])
	}
	r.figure("two consumers ÷ one, a backlog on all partitions", rates[1]/rates[0], "ratio")
	r.figure("one consumer", rates[0], "/s")
	return nil
}

// catchUp starts consumers, and measures from the first event to the last that they match.
func (s *system) catchUp(consumers, events int) (rate float64, err error) {
	for range consumers {
		if _, err := s.add("consumer"); err != nil {
			return 0, err
		}
	}
	if err := s.until(matched, 1); err != nil {
		return 0, err
	}
	begun, before := time.Now(), s.metric(matched)
	if err := s.until(matched, float64(events)); err != nil {
		return 0, err
	}
	return (float64(events) - before) / time.Since(begun).Seconds(), nil
}

// until waits until a metric has a value.
func (s *system) until(name string, value float64) error {
	for deadline := time.Now().Add(5 * time.Minute); s.metric(name) < value; {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is %v after five minutes, not %v", name, s.metric(name), value)
		}
		if err := pause(s.r.ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// end stops the processes of a role.
func (s *system) end(role string) {
	var procs []*process
	var roles []string
	for i, p := range s.procs {
		if s.roles[i] == role {
			p.stop()
			continue
		}
		procs, roles = append(procs, p), append(roles, s.roles[i])
	}
	s.procs, s.roles = procs, roles
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
		if !strings.HasPrefix(line, name) || !strings.ContainsAny(line[len(name):len(name)+1], "{ ") {
			continue
		}
		v, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err == nil {
			sum += v
		}
	}
	return sum
}
