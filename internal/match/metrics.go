package match

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	reloads  prometheus.Counter
	failures prometheus.Counter
}

func (m *metrics) register(r prometheus.Registerer, c *Cache) {
	m.reloads = prometheus.NewCounter(prometheus.CounterOpts{Name: "postrider_cache_reloads_total",
		Help: "Full loads of the subscription cache after the first: after a hole in the change feed."})
	m.failures = prometheus.NewCounter(prometheus.CounterOpts{Name: "postrider_cache_feed_failures_total",
		Help: "Reads of the change feed that failed. The cache is kept."})
	if r == nil {
		return
	}
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	r.MustRegister(m.reloads, m.failures,
		gauge("postrider_cache_version", "Version of the last change that the subscription cache has.",
			func() float64 { return float64(c.Version()) }),
		gauge("postrider_cache_subscriptions", "Subscriptions in the cache, active or not.",
			func() float64 { return float64(c.Subscriptions()) }),
		gauge("postrider_cache_heard_timestamp_seconds", "When the change feed last answered, in seconds since 1970.",
			func() float64 { return float64(c.heard.Load()) }))
}
