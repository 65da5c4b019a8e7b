package kafka

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/internal/steady"
)

// assigned begins the partitions. Their records come only after this has returned.
func (m *member) assigned(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range topics[m.topic] {
		if m.parts[n] == nil {
			m.parts[n] = newPart(m, n)
			m.log.Info("partition assigned", "topic", m.topic, "partition", n)
		}
	}
}

// adjust notes from where each partition is read, and asks start for it if there is one.
func (m *member) adjust(ctx context.Context, topics map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	for n, at := range topics[m.topic] {
		if m.start != nil {
			from, err := m.start(ctx, n)
			if err != nil {
				m.fault(err)
				steady.Sleep(ctx, time.Second)
				return nil, err
			}
			at = from
			topics[m.topic][n] = at
		}
		m.mu.Lock()
		if p := m.parts[n]; p != nil {
			p.expect(at.EpochOffset().Offset)
		}
		m.mu.Unlock()
	}
	return topics, nil
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
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
		defer cancel()
		if err := m.commit(ctx, gone); err != nil {
			m.log.Warn("offsets of partitions that go were not committed; their last records are read again", "error", err)
		}
	}
	m.dropAll(gone)
}

// lost ends partitions that are another's already.
func (m *member) lost(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
	m.dropAll(m.find(topics[m.topic]))
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
	}
	m.mu.Unlock()
	p.end()
	m.client.ResumeFetchPartitions(map[string][]int32{m.topic: {p.number}})
	m.metrics.lag.DeleteLabelValues(partitionName(p.number))
}
