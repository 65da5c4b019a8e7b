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
		if err := m.commit(m.ctx, m.all()); err != nil && m.ctx.Err() == nil {
			m.log.Warn("offsets were not committed; they are tried again", "topic", m.topic, "error", err)
		}
	}
}

// commit makes the offsets of partitions durable, within commitTimeout once the one before it has ended. The group's coordinator
// refuses them once the partitions are another's; those that it takes count, whatever it refuses.
func (m *member) commit(ctx context.Context, parts []*part) error {
	m.commits.Lock()
	defer m.commits.Unlock()
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	offsets, asked := make(map[int32]kgo.EpochOffset), time.Now()
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
	var refused map[int32]error
	m.client.CommitOffsetsSync(m.marked(ctx), map[string]map[int32]kgo.EpochOffset{m.topic: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
			failed = err
			if err == nil {
				refused, failed = refusedOffsets(response)
			}
		})
	if failed != nil {
		m.metrics.failed("commit")
		if refused == nil {
			return failed
		}
	}
	for _, p := range parts {
		if refused[p.number] != nil {
			continue
		}
		if o, ok := offsets[p.number]; ok {
			p.keep(o.Offset, asked)
		}
	}
	return failed
}

// refusedOffsets tells which partitions' offsets were refused, and why the first of them was; nil if none was.
func refusedOffsets(response *kmsg.OffsetCommitResponse) (refused map[int32]error, first error) {
	for _, t := range response.Topics {
		for _, p := range t.Partitions {
			err := kerr.ErrorForCode(p.ErrorCode)
			if err == nil {
				continue
			}
			if refused == nil {
				refused, first = map[int32]error{}, err
			}
			refused[p.Partition] = err
		}
	}
	return refused, first
}

// measureInterval is how often the ends of the partitions are asked for.
const measureInterval = 5 * time.Second

// measureLoop keeps the measures, also of partitions that are paused, whose fetches would tell where they end.
func (m *member) measureLoop() {
	tick := time.NewTicker(measureInterval)
	defer tick.Stop()
	for {
		m.measure()
		select {
		case <-tick.C:
		case <-m.ctx.Done():
			return
		}
		m.askEnds()
	}
}

func (m *member) askEnds() {
	ctx, cancel := context.WithTimeout(m.ctx, measureInterval)
	defer cancel()
	ends, err := m.admin.ListEndOffsets(ctx, m.topic)
	if err != nil {
		return // the group's own requests tell of it
	}
	for _, p := range m.all() {
		if end, ok := ends.Lookup(m.topic, p.number); ok && end.Err == nil {
			p.mu.Lock()
			p.high = max(p.high, end.Offset)
			p.mu.Unlock()
		}
	}
}

// measure sets the lag and the age of the oldest record.
func (m *member) measure() {
	m.metrics.buffered.Set(float64(m.buffered.Load()))
	now := time.Now()
	for _, p := range m.all() {
		lag, oldest, known := p.behind()
		if !known {
			continue
		}
		age := time.Duration(0)
		if !oldest.IsZero() {
			age = max(now.Sub(oldest), 0)
		}
		m.mu.Lock()
		if m.parts[p.number] == p { // else its measures are gone
			m.metrics.lag.WithLabelValues(partitionName(p.number)).Set(float64(lag))
			m.metrics.oldest.WithLabelValues(partitionName(p.number)).Set(age.Seconds())
		}
		m.mu.Unlock()
	}
}

// behind tells how many records are not dealt with, and the timestamp of the oldest that was read; zero: there is none.
func (p *part) behind() (lag int64, oldest time.Time, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.committed
	if at < 0 {
		at = p.began
	}
	switch {
	case len(p.marks) > 0:
		oldest = p.marks[0].first
	case !p.first.IsZero():
		oldest = p.first
	case len(p.raw) > 0:
		oldest = p.raw[0].Timestamp
	}
	return max(p.high-at, 0), oldest, at >= 0
}
