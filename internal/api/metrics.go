package api

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	accepted prometheus.Counter
	bytes    prometheus.Counter
	refused  *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "postrider_http_requests_total", Help: "Requests to the API, by route and status."}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "postrider_http_request_seconds", Help: "Time of a request to the API.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 12)}, []string{"route"}),
		accepted: prometheus.NewCounter(prometheus.CounterOpts{Name: "postrider_events_accepted_total", Help: "Events that were answered with 202."}),
		bytes:    prometheus.NewCounter(prometheus.CounterOpts{Name: "postrider_events_accepted_bytes_total", Help: "Their payloads, in bytes."}),
		refused:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "postrider_events_refused_total", Help: "Events that were not accepted, by reason."}, []string{"reason"}),
	}
	if r != nil {
		r.MustRegister(m.requests, m.seconds, m.accepted, m.bytes, m.refused)
	}
	return m
}
