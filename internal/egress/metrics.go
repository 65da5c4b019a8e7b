package egress

import (
	"errors"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/postrider/postrider"
)

type metrics struct {
	connected, refused, dns, failed prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	dials := promauto.With(registerer).NewCounterVec(prometheus.CounterOpts{
		Name: "postrider_egress_dials_total",
		Help: "Dials to targets, by result: connected, refused (by the guard), dns, failed.",
	}, []string{"result"})
	return &metrics{
		connected: dials.WithLabelValues("connected"),
		refused:   dials.WithLabelValues("refused"),
		dns:       dials.WithLabelValues("dns"),
		failed:    dials.WithLabelValues("failed"),
	}
}

func (m *metrics) dialed(err error) {
	var dns *net.DNSError
	switch {
	case err == nil:
		m.connected.Inc()
	case postrider.CodeOf(err) == postrider.CodeForbidden:
		m.refused.Inc()
	case errors.As(err, &dns):
		m.dns.Inc()
	default:
		m.failed.Inc()
	}
}
