package kafka

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// assigned begins the partitions. Their records come only after this has returned.
func (m *member) assigned(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
	m.metrics.rebalances.Inc()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range topics[m.topic] {
		if m.parts[n] == nil {
			m.parts[n] = newPart(m, n)
			m.count.Add(1)
			m.metrics.moved.WithLabelValues("assigned").Inc()
			m.log.Info("partition assigned", "topic", m.topic, "partition", n)
		}
	}
}

// revoked gives partitions back: no more is handed out, what is in hand gets a short time, and what is dealt with is
// committed while that is still permitted.
func (m *member) revoked(ctx context.Context, _ *kgo.Client, topics map[string][]int32) {
	gone := m.find(topics[m.topic])
	if m.ctx.Err() == nil {
		var all sync.WaitGroup
		for _, p := range gone {
			all.Go(func() { p.settle(m.ctx, m.revokeWait) })
		}
		all.Wait()
		if err := m.commit(context.WithoutCancel(ctx), gone); err != nil {
			m.log.Warn("offsets of partitions that go were not committed; their last records are read again", "error", err)
		}
	}
	m.metrics.moved.WithLabelValues("revoked").Add(float64(len(gone)))
	m.dropAll(gone)
}

// lost ends partitions that are another's already.
func (m *member) lost(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
	gone := m.find(topics[m.topic])
	m.metrics.moved.WithLabelValues("lost").Add(float64(len(gone)))
	m.dropAll(gone)
}

func (m *member) find(numbers []int32) (list []*part) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range numbers {
		if p := m.parts[n]; p != nil {
			list = append(list, p)
		}
	}
	return list
}

func (m *member) dropAll(list []*part) {
	for _, p := range list {
		m.drop(p)
		m.log.Info("partition gone", "topic", m.topic, "partition", p.number)
	}
}

// drop ends a partition.
func (m *member) drop(p *part) {
	m.mu.Lock()
	if m.parts[p.number] == p {
		delete(m.parts, p.number)
		m.handed[p.number] = max(m.handed[p.number], p.reached())
		m.count.Add(-1)
		m.metrics.lag.DeleteLabelValues(partitionName(p.number))
		m.metrics.oldest.DeleteLabelValues(partitionName(p.number))
	}
	m.mu.Unlock()
	p.end()
	m.client.ResumeFetchPartitions(map[string][]int32{m.topic: {p.number}})
}
