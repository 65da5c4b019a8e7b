package consume

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
)

type metrics struct {
	results   *prometheus.CounterVec
	hit, miss prometheus.Counter // of results
	queued    prometheus.Counter
	gapEvents prometheus.Counter
	gaps      prometheus.Counter
	failures  *prometheus.CounterVec
	diverted  prometheus.Counter
	delay     prometheus.Histogram
}

func (m *metrics) register(r prometheus.Registerer, room *room) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m.results = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "postrider_events_matched_total",
		Help: "Events read and matched, by whether a target was found."}, []string{"result"})
	m.hit, m.miss = m.results.WithLabelValues("matched"), m.results.WithLabelValues("unmatched")
	m.queued = counter("postrider_deliveries_queued_total", "Deliveries put into the queue for their first attempt.")
	m.gapEvents = counter("postrider_log_gap_events_total", "Events that were gone from the log before they were read, as far as they could be counted.")
	m.gaps = counter("postrider_log_gaps_total", "Holes met in the events log.")
	m.failures = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "postrider_consumer_failures_total",
		Help: "Writes of the consumer that failed and are tried again, by step."}, []string{"step"})
	m.diverted = counter("postrider_consumer_outcomes_diverted_total", "Outcomes that went to the queue since the outcome log did not take them.")
	m.delay = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "postrider_consumer_lag_seconds",
		Help:    "From the acceptance of a batch's last event to the commit of its position.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600, 3600, 86400}})
	if r == nil {
		return
	}
	used := func(name, help string, f func(bytes int64, batches int) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return f(room.used()) })
	}
	r.MustRegister(m.results, m.queued, m.gapEvents, m.gaps, m.failures, m.diverted, m.delay,
		used("postrider_consumer_bytes", "Payload bytes of events read and not yet committed.", func(b int64, _ int) float64 { return float64(b) }),
		used("postrider_consumer_batches", "Batches of events read and not yet committed.", func(_ int64, n int) float64 { return float64(n) }))
}

func (m *metrics) matched(found bool) {
	if found {
		m.hit.Inc()
	} else {
		m.miss.Inc()
	}
}

func (m *metrics) gap(g *postrider.Gap) {
	m.gaps.Inc()
	m.gapEvents.Add(float64(max(g.Count, 0)))
}
