package postgres

import (
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the database. It may be nil.
type metrics struct {
	calls     *prometheus.HistogramVec
	rows      *prometheus.CounterVec
	relistens prometheus.Counter
	days      *prometheus.CounterVec
	ahead     prometheus.Gauge

	registered []prometheus.Collector
	registry   prometheus.Registerer
}

func newMetrics(r prometheus.Registerer, pool *pgxpool.Pool) *metrics {
	m := &metrics{registry: r,
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "postrider_postgres_call_seconds",
			Help:    "Duration of calls to the database, waiting for a connection included, by kind.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15, 60}}, []string{"kind"}),
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "postrider_postgres_archived_rows_total",
			Help: "Deliveries, attempts and events archived, by way: copy (new, by COPY), merge (by INSERT … ON CONFLICT). An attempt may lie in its delivery's row."}, []string{"table", "way"}),
		relistens: prometheus.NewCounter(prometheus.CounterOpts{Name: "postrider_postgres_listen_losses_total",
			Help: "How often the connection that hears of changes was lost."}),
		days: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "postrider_postgres_partitions_total",
			Help: "Days of deliveries made and dropped here."}, []string{"operation"}),
		ahead: prometheus.NewGauge(prometheus.GaugeOpts{Name: "postrider_postgres_partition_days_ahead",
			Help: "Days after today that have their partitions. Below 1, deliveries will soon go into the default partition."}),
	}
	gauge := func(name, help string, value func(*pgxpool.Stat) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return value(pool.Stat()) })
	}
	m.registered = []prometheus.Collector{m.calls, m.rows, m.relistens, m.days, m.ahead,
		gauge("postrider_postgres_connections_in_use", "Connections of the pool in use.", func(s *pgxpool.Stat) float64 { return float64(s.AcquiredConns()) }),
		gauge("postrider_postgres_connections", "Connections of the pool.", func(s *pgxpool.Stat) float64 { return float64(s.TotalConns()) }),
		gauge("postrider_postgres_connections_max", "Connections that the pool may have.", func(s *pgxpool.Stat) float64 { return float64(s.MaxConns()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "postrider_postgres_waits_total",
			Help: "Calls that had to wait for a connection of the pool."}, func() float64 { return float64(pool.Stat().EmptyAcquireCount()) }),
	}
	if r != nil {
		r.MustRegister(m.registered...)
	}
	return m
}

// unregister lets another database take the names.
func (m *metrics) unregister() {
	if m == nil || m.registry == nil {
		return
	}
	for _, c := range m.registered {
		m.registry.Unregister(c)
	}
}

// time measures a call from now until the function is called.
func (m *metrics) time(kind string) func() {
	begun := time.Now()
	return func() { m.calls.WithLabelValues(kind).Observe(time.Since(begun).Seconds()) }
}

// archived counts rows that were written, before their commit.
func (m *metrics) archived(way string, deliveries, attempts, events int) {
	m.rows.WithLabelValues("deliveries", way).Add(float64(deliveries))
	m.rows.WithLabelValues("attempts", way).Add(float64(attempts))
	m.rows.WithLabelValues("events", way).Add(float64(events))
}
