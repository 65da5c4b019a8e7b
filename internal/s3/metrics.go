package s3

import "github.com/prometheus/client_golang/prometheus"

type metrics struct{ requests *prometheus.CounterVec }

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "postrider_s3_requests_total",
		Help: "Requests to the payload store, by operation and result."}, []string{"operation", "result"})}
	if r != nil {
		r.MustRegister(m.requests)
	}
	return m
}

// count counts a request. An answer that says that a thing is not there is an answer.
func (m *metrics) count(operation string, err error) {
	result := "ok"
	if err != nil {
		result = "error"
		if c := codeOf(err); c == "NoSuchKey" || c == "NotFound" || c == "NoSuchLifecycleConfiguration" {
			result = "missing"
		}
	}
	m.requests.WithLabelValues(operation, result).Inc()
}
