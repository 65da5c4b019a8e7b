package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commitLoop commits what is dealt with every half a second, and sooner where it is many records.
func (m *member) commitLoop() {
	tick := time.NewTicker(commitInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-m.nudge:
		case <-m.ctx.Done():
			return
		}
		ctx, cancel := context.WithTimeout(m.ctx, commitTimeout)
		if err := m.commit(ctx, m.all()); err != nil && m.ctx.Err() == nil {
			m.log.Warn("offsets were not committed; they are tried again", "topic", m.topic, "error", err)
		}
		cancel()
		m.measure()
	}
}

// commit makes the offsets of partitions durable. The group's coordinator refuses them once the partitions are another's.
func (m *member) commit(ctx context.Context, parts []*part) error {
	m.commits.Lock()
	defer m.commits.Unlock()
	offsets := make(map[int32]kgo.EpochOffset)
	for _, p := range parts {
		p.mu.Lock()
		if p.committed > p.saved {
			offsets[p.number] = kgo.EpochOffset{Epoch: p.epoch, Offset: p.committed}
		}
		p.mu.Unlock()
	}
	if len(offsets) == 0 {
		return nil
	}
	var failed error
	m.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{m.topic: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
			failed = err
			if err == nil {
				failed = refusedOffsets(response)
			}
		})
	if failed != nil {
		m.metrics.failed("commit")
		return failed
	}
	for _, p := range parts {
		p.mu.Lock()
		if o, ok := offsets[p.number]; ok {
			p.saved = o.Offset
		}
		p.mu.Unlock()
	}
	return nil
}

func refusedOffsets(response *kmsg.OffsetCommitResponse) error {
	for _, t := range response.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}

// measure sets the lag.
func (m *member) measure() {
	for _, p := range m.all() {
		p.mu.Lock()
		at := max(p.committed, 0)
		lag := max(p.high-at, 0)
		known := p.committed >= 0
		p.mu.Unlock()
		if known {
			m.metrics.lag.WithLabelValues(partitionName(p.number)).Set(float64(lag))
		}
	}
}
