package bench

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

const exposed = `# HELP postrider_sqs_requests_total Requests to SQS, by operation and result.
# TYPE postrider_sqs_requests_total counter
postrider_sqs_requests_total{operation="send",result="ok"} 30
postrider_sqs_requests_total{operation="send",result="error"} 2
postrider_sqs_requests_total{operation="receive",result="ok"} 10
postrider_sqs_requests_total{operation="get_attributes",result="ok"} 1000
postrider_sqs_requests_total_of_another{operation="send"} 7
postrider_events_matched_total{result="matched"} 1.5e+04
postrider_retries_pending NaN
plain 4
`

func TestMetrics(t *testing.T) {
	t.Parallel()
	m, err := readMetrics(strings.NewReader(exposed))
	if err != nil {
		t.Fatal(err)
	}
	if asked(m) != 42 {
		t.Errorf("%v requests for deliveries", asked(m))
	}
	if m.sum(matched) != 15_000 || m.sum("plain") != 4 || m.sum("pla") != 0 {
		t.Errorf("read %v", m)
	}
	if n := m.sum("postrider_sqs_requests_total", `operation="send"`, `result="error"`); n != 2 {
		t.Errorf("%v with both labels", n)
	}
	if n := m[`postrider_events_matched_total{result="matched"}`]; n != 15_000 {
		t.Errorf("%v of the sample itself", n)
	}
}

// TestWatch: the metrics of all processes are summed, and what is waited for has come once they say so.
func TestWatch(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) > 4 {
			w.Write([]byte("postrider_events_matched_total 5\n"))
		}
	}))
	t.Cleanup(server.Close)
	s := &system{r: &run{ctx: t.Context()}, http: server.Client(), procs: []*process{{url: server.URL}, {url: server.URL}}}
	if _, err := s.watch("ten events", func(m metrics) bool { return m.sum(matched) >= 10 }); err != nil || n.Load() != 6 {
		t.Errorf("%v after %d looks", err, n.Load())
	}
}
