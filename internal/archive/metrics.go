package archive

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/postrider/postrider"
)

type metrics struct {
	fromLog, fromLane source
	failures          prometheus.Counter
	expired           *prometheus.CounterVec
}

// source counts what came one way.
type source struct {
	outcomes, batches prometheus.Counter
	delay             prometheus.Observer
}

func newMetrics(r prometheus.Registerer) *metrics {
	auto := promauto.With(r)
	label := []string{"source"}
	outcomes := auto.NewCounterVec(prometheus.CounterOpts{Name: "postrider_archive_outcomes_total",
		Help: "Outcomes stored in the database, by where they came from: log, lane (the queue)."}, label)
	batches := auto.NewCounterVec(prometheus.CounterOpts{Name: "postrider_archive_batches_total",
		Help: "Transactions that stored outcomes, by where they came from."}, label)
	delay := auto.NewHistogramVec(prometheus.HistogramOpts{Name: "postrider_archive_delay_seconds",
		Help:    "From the first outcome of a batch to its being stored.",
		Buckets: []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600, 3600, 86400}}, label)
	from := func(name string) source {
		return source{outcomes.WithLabelValues(name), batches.WithLabelValues(name), delay.WithLabelValues(name)}
	}
	return &metrics{
		fromLog:  from("log"),
		fromLane: from("lane"),
		failures: auto.NewCounter(prometheus.CounterOpts{Name: "postrider_archive_failures_total",
			Help: "Batches that the database did not store at once; they are tried again."}),
		expired: auto.NewCounterVec(prometheus.CounterOpts{Name: "postrider_expired_total",
			Help: "What was removed after its retention: deliveries, payloads."}, []string{"what"}),
	}
}

func (m *metrics) stored(from *source, b *postrider.OutcomeBatch, now time.Time) {
	from.batches.Inc()
	from.outcomes.Add(float64(len(b.Outcomes)))
	if len(b.Outcomes) > 0 {
		from.delay.Observe(max(now.Sub(b.Outcomes[0].At), 0).Seconds())
	}
}
