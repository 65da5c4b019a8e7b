package dispatch

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	attempts              *prometheus.CounterVec
	seconds               prometheus.Histogram
	inFlight              prometheus.Gauge
	deferred              *prometheus.CounterVec
	deliveries            *prometheus.CounterVec
	redelivered, outlived prometheus.Counter // twins
	returned              prometheus.Counter
	split                 prometheus.Counter
	diverted              prometheus.Counter
	failures              *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	auto := promauto.With(r)
	counter := func(name, help string) prometheus.Counter {
		return auto.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	vector := func(name, help string, labels ...string) *prometheus.CounterVec {
		return auto.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	twins := vector("postrider_twins_total", "Deliveries that may be sent a second time, by cause.", "cause")
	return &metrics{
		attempts: vector("postrider_attempts_total", "Attempts made, by the class of their end.", "class"),
		seconds: auto.NewHistogram(prometheus.HistogramOpts{Name: "postrider_attempt_seconds",
			Help:    "How long attempts took, the part of the body that is read included.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15, 30}}),
		inFlight:    auto.NewGauge(prometheus.GaugeOpts{Name: "postrider_in_flight", Help: "Attempts in flight."}),
		deferred:    vector("postrider_deferred_total", "Deliveries that were put off without an attempt, by reason.", "reason"),
		deliveries:  vector("postrider_deliveries_total", "Deliveries that came to a final state, by that and its reason.", "state", "reason"),
		redelivered: twins.WithLabelValues("redelivered"), outlived: twins.WithLabelValues("lease_expired"),
		returned: counter("postrider_dispatch_returned_total", "Deliveries that were taken and given back before they were begun."),
		split:    counter("postrider_dispatch_packs_split_total", "Packs that came so often that their deliveries were put singly."),
		diverted: counter("postrider_dispatch_outcomes_diverted_total", "Outcomes that went to the queue, since the outcome log did not take them."),
		failures: vector("postrider_dispatch_failures_total", "Steps that failed and are tried again.", "step"),
	}
}
