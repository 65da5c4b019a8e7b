package bench

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// metrics are the samples that a process exposes, by name and labels as they are written there.
type metrics map[string]float64

// readMetrics reads the text format of Prometheus.
func readMetrics(r io.Reader) (metrics, error) {
	m := metrics{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		if v, err := strconv.ParseFloat(line[at+1:], 64); err == nil {
			m[line[:at]] = v
		}
	}
	return m, lines.Err()
}

// sum adds up the samples of a name that have all of some labels, each written as `lane="first"`.
func (m metrics) sum(name string, labels ...string) (sum float64) {
	for sample, v := range m {
		if base, of, _ := strings.Cut(sample, "{"); base == name && containsAll(of, labels) {
			sum += v
		}
	}
	return sum
}

func containsAll(s string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(s, part) {
			return false
		}
	}
	return true
}

// metrics sums the samples of all processes. One that does not answer is left out, and told of.
func (s *system) metrics() metrics {
	all := metrics{}
	for _, p := range s.procs {
		m, err := s.metricsOf(p)
		if err != nil {
			fmt.Fprintf(s.r.Progress, "  no metrics of %s: %v\n", p.url, err)
		}
		for sample, v := range m {
			all[sample] += v
		}
	}
	return all
}

func (s *system) metricsOf(p *process) (metrics, error) {
	req, err := http.NewRequestWithContext(s.r.ctx, http.MethodGet, p.url+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	answer, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return readMetrics(answer.Body)
}

// metric sums a metric over all processes.
func (s *system) metric(name string, labels ...string) float64 {
	return s.metrics().sum(name, labels...)
}

const metricPause = 20 * time.Millisecond // between two looks

// watch looks at the metrics until done, and returns when it last looked in vain. what is what is waited for.
func (s *system) watch(what string, done func(metrics) bool) (before time.Time, err error) {
	deadline := time.Now().Add(5 * time.Minute)
	for before = time.Now(); ; {
		at := time.Now()
		if done(s.metrics()) {
			return before, nil
		}
		if at.After(deadline) {
			return before, fmt.Errorf("%s has not come within five minutes", what)
		}
		before = at
		if err := pause(s.r.ctx, metricPause); err != nil {
			return before, err
		}
	}
}

// asked counts the requests to SQS that deliveries cause: not those that look at the queues, which every look at metrics causes.
func asked(m metrics) (n float64) {
	for _, operation := range []string{"send", "receive", "delete", "change_visibility"} {
		n += m.sum("postrider_sqs_requests_total", `operation="`+operation+`"`)
	}
	return n
}
