package kafka

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// bearings is what decides where partitions that are assigned are read: what the group has committed, of which topic.
type bearings struct {
	mark    string                        // of the topic that there is
	offsets map[int32]kadm.OffsetResponse // of the group
	ends    map[int32]kadm.ListedOffset   // only for a new group that begins at the latest
	former  map[int32]int64               // offsets in a topic of this name that has gone, as far as read here
	latest  bool                          // the group is new, and begins at the latest
}

// topicMark goes with each committed offset, and tells a topic that was made anew from the one before.
func topicMark(id kadm.TopicID) string { return "topic=" + hex.EncodeToString(id[:]) }

// takeBearings asks the brokers.
func (m *member) takeBearings(ctx context.Context) (bearings, error) {
	ctx, cancel := context.WithTimeout(ctx, topicTimeout)
	defer cancel()
	id, err := topicID(ctx, m.admin, m.topic)
	if err != nil {
		return bearings{}, fmt.Errorf("topic %s: %w", m.topic, err)
	}
	all, err := m.admin.FetchOffsets(ctx, m.group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return bearings{}, fmt.Errorf("offsets of group %s: %w", m.group, err)
	}
	b := bearings{mark: topicMark(id), offsets: all[m.topic]}
	if m.fromLatest && len(b.offsets) == 0 {
		ends, err := m.admin.ListEndOffsets(ctx, m.topic)
		if err == nil {
			err = ends.Error()
		}
		if err != nil {
			return bearings{}, fmt.Errorf("ends of topic %s: %w", m.topic, err)
		}
		b.latest, b.ends = true, ends[m.topic]
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mark != b.mark { // other records have the same offsets
		clear(m.handed)
	}
	m.mark = b.mark
	b.former, m.former = m.former, nil
	return b, nil
}

// bearing is where a partition is read, and which of its offsets was to come.
type bearing struct {
	at       kgo.Offset
	expected int64  // -1: whichever comes
	first    bool   // nothing was committed: the beginning is to be
	why      string // not the committed offset, or ""
}

// of tells where a partition is read: where the group was, or at the beginning. A topic that was made anew is read from its
// beginning. In a group that has committed something no partition begins at the latest, since what came to one that was
// added would be skipped.
func (b bearings) of(n int32) bearing {
	committed, known := b.offsets[n]
	known = known && committed.Err == nil && committed.At >= 0
	former, left := b.former[n]
	switch {
	case left:
		return bearing{kgo.NewOffset().AtStart(), former, false, "the topic was made anew: it is read from its beginning"}
	case known && committed.Metadata != "" && committed.Metadata != b.mark:
		return bearing{kgo.NewOffset().AtStart(), committed.At, false, "the topic was made anew: it is read from its beginning"}
	case known:
		return bearing{kgo.NewOffset().At(committed.At).WithEpoch(committed.LeaderEpoch), committed.At, false, ""}
	case b.latest:
		if end, ok := b.ends[n]; ok {
			return bearing{kgo.NewOffset().At(end.Offset), end.Offset, true, "the group has no offset here: it begins at the latest"}
		}
	}
	return bearing{kgo.NewOffset().AtStart(), -1, false, "the group has no offset here: it begins at the earliest"}
}

// adjust notes from where each partition is read, and asks start for it if there is one.
func (m *member) adjust(ctx context.Context, topics map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	var b bearings
	if m.start == nil && len(topics[m.topic]) > 0 {
		var err error
		if b, err = m.takeBearings(ctx); err != nil {
			return nil, m.delay(ctx, err)
		}
	}
	for n := range topics[m.topic] {
		to := bearing{expected: -1}
		if m.start == nil {
			to = b.of(n)
		} else {
			at, err := m.start(ctx, n)
			if err != nil {
				return nil, m.delay(ctx, err)
			}
			to.at, to.expected = at, at.EpochOffset().Offset
		}
		topics[m.topic][n] = to.at
		if to.why != "" {
			m.log.Warn("a partition is not read from a committed offset", "topic", m.topic, "partition", n, "why", to.why, "offset", to.at.String(), "expected", to.expected)
		}
		for _, p := range m.find([]int32{n}) {
			p.expect(to.expected, to.first)
			m.remind(p)
		}
	}
	return topics, nil
}

// remind tells a partition what of it was handed on before it went and came back. What is read from a position kept elsewhere
// is not counted: it may be read again.
func (m *member) remind(p *part) {
	if m.start != nil {
		return
	}
	m.mu.Lock()
	handed := m.handed[p.number]
	m.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = handed
}

// delay tells Next of an error that keeps partitions from being read, and waits before the group tries again.
func (m *member) delay(ctx context.Context, err error) error {
	m.fault(err)
	pauseFor(ctx, adjustPause)
	return err
}

// marked makes a commit carry the topic's mark.
func (m *member) marked(ctx context.Context) context.Context {
	m.mu.Lock()
	mark := m.mark
	m.mu.Unlock()
	if mark == "" {
		return ctx
	}
	return kgo.PreCommitFnContext(ctx, func(r *kmsg.OffsetCommitRequest) error {
		for i := range r.Topics {
			for j := range r.Topics[i].Partitions {
				r.Topics[i].Partitions[j].Metadata = &mark
			}
		}
		return nil
	})
}

// renew takes up a topic that was made anew, which the client does not by itself: it would stand still.
func (m *member) renew() {
	m.log.Error("the topic has gone, or was made anew; it is read from its beginning once it is there", "topic", m.topic)
	m.mu.Lock()
	former := make(map[int32]int64)
	for n, p := range m.parts {
		p.mu.Lock()
		if p.next >= 0 {
			former[n] = p.next
		}
		p.mu.Unlock()
	}
	m.former = former
	m.mu.Unlock()
	m.client.PurgeTopicsFromConsuming(m.topic)
	m.dropAll(m.all()) // if the client has not told of it
	m.client.AddConsumeTopics(m.topic)
}
