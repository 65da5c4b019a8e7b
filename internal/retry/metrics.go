package retry

import (
	"context"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/postrider/postrider"
)

// statsTimeout bounds how long a scrape waits for the queue.
const statsTimeout = 2 * time.Second

type metrics struct {
	bulk, retry prometheus.Counter
	merged      prometheus.Counter
	twins       prometheus.Counter
	failures    prometheus.Counter
}

func newMetrics(r prometheus.Registerer, queue postrider.Queue) *metrics {
	auto := promauto.With(r)
	moved := auto.NewCounterVec(prometheus.CounterOpts{Name: "postrider_retry_moved_total",
		Help: "Deliveries that the retry manager moved: to bulk (due) or to retry (not due yet)."}, []string{"to"})
	auto.NewGaugeFunc(prometheus.GaugeOpts{Name: "postrider_retries_pending",
		Help: "Packs that wait: in the retry lane, or in the bulk lane and not due yet, as the queue counts them; NaN if it does not answer."},
		func() float64 { return pending(queue) })
	return &metrics{
		bulk:  moved.WithLabelValues("bulk"),
		retry: moved.WithLabelValues("retry"),
		merged: auto.NewCounter(prometheus.CounterOpts{Name: "postrider_retry_packs_merged_total",
			Help: "Packs that were merged into another."}),
		twins: auto.NewCounter(prometheus.CounterOpts{Name: "postrider_retry_twins_merged_total",
			Help: "Deliveries that met their twin and were dropped."}),
		failures: auto.NewCounter(prometheus.CounterOpts{Name: "postrider_retry_failures_total",
			Help: "Moves that failed and are tried again."}),
	}
}

func pending(queue postrider.Queue) float64 {
	ctx, cancel := context.WithTimeout(context.Background(), statsTimeout)
	defer cancel()
	stats, err := queue.Stats(ctx)
	if err != nil {
		return math.NaN()
	}
	lane := stats[postrider.LaneRetry]
	return float64(lane.Items + lane.Delayed + stats[postrider.LaneBulk].Delayed)
}

// movedItems counts a move that is durable.
func (m *metrics) movedItems(mv move) {
	came, went := 0, 0
	for _, l := range mv.leases {
		came += weight(l)
	}
	for i := range mv.follow {
		n := len(mv.follow[i].Pack.Deliveries)
		went += n
		if mv.follow[i].Lane == postrider.LaneBulk {
			m.bulk.Add(float64(n))
		} else {
			m.retry.Add(float64(n))
		}
	}
	m.merged.Add(float64(len(mv.leases) - 1))
	m.twins.Add(float64(max(came-went, 0)))
}
