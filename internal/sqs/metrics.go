package sqs

import "github.com/prometheus/client_golang/prometheus"

const billedUnit = 64 << 10 // bytes of payload that AWS bills as one request

type metrics struct {
	requests   *prometheus.CounterVec
	billed     *prometheus.CounterVec
	resent     prometheus.Counter
	stale      prometheus.Counter
	unreadable *prometheus.CounterVec
	wait       *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "postrider_sqs_requests_total",
			Help: "Requests to SQS, by operation and result."}, []string{"operation", "result"}),
		billed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "postrider_sqs_billed_requests_total",
			Help: "Requests as AWS bills them: each 64 KiB of payload is one."}, []string{"operation"}),
		resent: counter("postrider_sqs_resent_total", "Messages sent or removed again because the server did not acknowledge them."),
		stale:  counter("postrider_sqs_stale_handles_total", "Removals refused because the message was received again meanwhile."),
		unreadable: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "postrider_sqs_unreadable_total",
			Help: "Times that a message came which can't be read, by lane. It stays in the queue."}, []string{"lane"}),
		wait: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "postrider_sqs_wait_seconds",
			Help:    "From when a message was sent, or due if that is later, to when it came for the first time, by lane.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2, 18)}, []string{"lane"}),
	}
	if r != nil {
		r.MustRegister(m.requests, m.billed, m.resent, m.stale, m.unreadable, m.wait)
	}
	return m
}

func (m *metrics) count(operation string, size int, err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.requests.WithLabelValues(operation, result).Inc()
	m.billed.WithLabelValues(operation).Add(float64(max((size+billedUnit-1)/billedUnit, 1)))
}
