package kafka

import (
	"net"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// metrics of one log. As a hook it counts the requests of each of its clients.
type metrics struct {
	lag          *prometheus.GaugeVec
	oldest       *prometheus.GaugeVec
	held         prometheus.Gauge
	buffered     prometheus.Gauge
	rebalances   prometheus.Counter
	moved        *prometheus.CounterVec
	again        prometheus.Counter
	errors       *prometheus.CounterVec
	dead         *prometheus.CounterVec
	requests     *prometheus.CounterVec
	disconnected prometheus.Counter
}

var (
	_ kgo.HookBrokerE2E        = (*metrics)(nil)
	_ kgo.HookBrokerDisconnect = (*metrics)(nil)
)

// newMetrics makes the metrics of a log ("events", "outcomes"), so that both fit in one registry.
func newMetrics(r prometheus.Registerer, log string) *metrics {
	labels := prometheus.Labels{"log": log}
	m := &metrics{
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "postrider_kafka_lag_records", ConstLabels: labels,
			Help: "Records of the partitions read here that are not committed yet."}, []string{"partition"}),
		oldest: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "postrider_kafka_oldest_seconds", ConstLabels: labels,
			Help: "Age of the oldest record that was read here and is not dealt with; 0: there is none."}, []string{"partition"}),
		held: prometheus.NewGauge(prometheus.GaugeOpts{Name: "postrider_kafka_held_partitions", ConstLabels: labels,
			Help: "Partitions that wait for the schema registry or the dead-letter topic."}),
		buffered: prometheus.NewGauge(prometheus.GaugeOpts{Name: "postrider_kafka_buffered_bytes", ConstLabels: labels,
			Help: "Bytes of records that were fetched and are not handed on."}),
		rebalances: prometheus.NewCounter(prometheus.CounterOpts{Name: "postrider_kafka_rebalances_total", ConstLabels: labels,
			Help: "Assignments that the group gave to this process."}),
		moved: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "postrider_kafka_partitions_moved_total", ConstLabels: labels,
			Help: "Partitions that came or went: assigned, revoked, lost."}, []string{"event"}),
		again: prometheus.NewCounter(prometheus.CounterOpts{Name: "postrider_kafka_read_again_records_total", ConstLabels: labels,
			Help: "Records that were handed on a second time, since their partition went before their offsets were committed."}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "postrider_kafka_errors_total", ConstLabels: labels,
			Help: "Failures of produce, fetch and commit."}, []string{"operation"}),
		dead: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "postrider_kafka_dead_letters_total", ConstLabels: labels,
			Help: "What went to the dead-letter topic, by reason: avro, schema, too_large, field; gap: records were gone before they were read."}, []string{"reason"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "postrider_kafka_requests_total", ConstLabels: labels,
			Help: "Requests to Kafka, by kind and result."}, []string{"operation", "result"}),
		disconnected: prometheus.NewCounter(prometheus.CounterOpts{Name: "postrider_kafka_disconnects_total", ConstLabels: labels,
			Help: "Connections to Kafka that ended."}),
	}
	if r != nil {
		r.MustRegister(m.lag, m.oldest, m.held, m.buffered, m.rebalances, m.moved, m.again, m.errors, m.dead, m.requests, m.disconnected)
	}
	return m
}

// OnBrokerE2E counts a request.
func (m *metrics) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	result := "ok"
	if e2e.Err() != nil {
		result = "error"
	}
	m.requests.WithLabelValues(strings.ToLower(kmsg.NameForKey(key)), result).Inc()
}

// OnBrokerDisconnect counts a connection that ended.
func (m *metrics) OnBrokerDisconnect(kgo.BrokerMetadata, net.Conn) { m.disconnected.Inc() }

func (m *metrics) failed(operation string) { m.errors.WithLabelValues(operation).Inc() }
