package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/postrider/postrider"
)

// Bounds of a read by position.
const (
	readTimeout   = 15 * time.Second
	readBytes     = 4 << 20 // asked for at once; a larger record comes alone
	readTries     = 5
	readFetchWait = 100 * time.Millisecond
)

func formatInt(n int64) string { return strconv.FormatInt(n, 10) }

// Read returns the event at a position; see postrider.EventLog.
func (l *EventLog) Read(ctx context.Context, at postrider.Position) (*postrider.Event, error) {
	events, err := l.ReadRange(ctx, at, at, 1)
	switch {
	case err != nil:
		return nil, err
	case len(events) == 0:
		return nil, postrider.Errorf(postrider.CodeGone, "the event is past the log's retention")
	}
	return events[0], nil
}

// Expire removes nothing: the topic's retention does.
func (l *EventLog) Expire(context.Context, time.Time) (int, error) { return 0, nil }

// ReadRange returns events of one partition; see postrider.EventLog.
func (l *EventLog) ReadRange(ctx context.Context, first, last postrider.Position, limit int) ([]*postrider.Event, error) {
	from, err := parsePosition(first)
	if err != nil {
		return nil, err
	}
	to, err := parsePosition(last)
	if err != nil {
		return nil, err
	}
	if from.partition != to.partition {
		return nil, postrider.Errorf(postrider.CodeInternal, "positions of two partitions are no range")
	}
	topic, err := l.topic()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	select {
	case l.reads <- struct{}{}:
		defer func() { <-l.reads }()
	case <-l.ended:
		return nil, errClosed()
	case <-ctx.Done():
		return nil, unavailable("too many reads at once", ctx.Err())
	}
	return l.readRange(ctx, topic, from, to, limit)
}

func (l *EventLog) readRange(ctx context.Context, topic *eventTopic, from, to place, limit int) ([]*postrider.Event, error) {
	var events []*postrider.Event
	single := from == to
	for next := from.offset; next <= to.offset && len(events) < limit; {
		records, end, err := l.fetch(ctx, topic.producer.client, from.partition, next, single)
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			if r.Offset > to.offset || len(events) == limit {
				return events, nil
			}
			if stale(topic.topicInfo, from, to, r) {
				return nil, postrider.Errorf(postrider.CodeGone, "the event is gone: the topic was made anew")
			}
			e, err := l.eventOf(ctx, r)
			var refused *refusal
			switch {
			case errors.As(err, &refused): // it was a dead letter
			case err != nil:
				return nil, unavailable("schema of an event", err)
			default:
				events = append(events, e)
			}
		}
		if end <= next {
			break
		}
		next = end
	}
	return events, nil
}

// stale reports whether a record at a known position is another than the one that was there.
func stale(t topicInfo, from, to place, r *kgo.Record) bool {
	if t.appendTime {
		return false // its producer did not know the timestamp
	}
	return r.Offset == from.offset && r.Timestamp.UnixMilli() != from.ms || r.Offset == to.offset && r.Timestamp.UnixMilli() != to.ms
}

// fetch returns records of a partition from an offset on, and the offset after them; the same one at the partition's end.
// An offset that is gone is CodeGone if it alone is wanted, else the records begin with what is left. One that was never
// there is CodeNotFound.
func (l *EventLog) fetch(ctx context.Context, client *kgo.Client, partition int32, offset int64, single bool) ([]*kgo.Record, int64, error) {
	var failed error
	for try := range readTries {
		if try > 0 && !pauseFor(ctx, time.Duration(try)*readFetchWait) {
			break
		}
		p, end, err := l.fetchOnce(ctx, client, partition, offset)
		switch {
		case err == nil && end > offset:
			return p.Records, end, nil
		case err == nil && offset >= p.HighWatermark && single:
			return nil, 0, postrider.Errorf(postrider.CodeNotFound, "the events log has no such position")
		case err == nil:
			return nil, offset, nil
		case errors.Is(err, kerr.OffsetOutOfRange):
			start, high, err := l.bounds(ctx, partition)
			switch {
			case err != nil:
				failed = err
				continue
			case offset >= start && single:
				return nil, 0, postrider.Errorf(postrider.CodeNotFound, "the events log has no such position")
			case single:
				return nil, 0, postrider.Errorf(postrider.CodeGone, "the event is past the log's retention")
			case offset >= high:
				return nil, offset, nil
			}
			return nil, start, nil
		case errors.Is(err, errNoPartition):
			return nil, 0, postrider.Errorf(postrider.CodeNotFound, "the events log has no such position")
		}
		failed = err
	}
	return nil, 0, unavailable("reading an event", errors.Join(failed, ctx.Err()))
}

var errNoPartition = errors.New("no such partition")

func pauseFor(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// fetchOnce asks the partition's leader.
func (l *EventLog) fetchOnce(ctx context.Context, client *kgo.Client, partition int32, offset int64) (kgo.FetchPartition, int64, error) {
	none := kgo.FetchPartition{}
	details, err := l.adm.ListTopics(ctx, l.at.topic)
	if err != nil {
		return none, 0, err
	}
	topic := details[l.at.topic]
	if topic.Err != nil {
		return none, 0, topic.Err
	}
	at, ok := topic.Partitions[partition]
	switch {
	case !ok:
		return none, 0, errNoPartition
	case at.Err != nil:
		return none, 0, at.Err
	}
	answer, err := client.Broker(int(at.Leader)).RetriableRequest(ctx, fetchRequest(l.at.topic, topic.ID, partition, offset))
	if err != nil {
		return none, 0, err
	}
	response := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
		return none, 0, err
	}
	if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
		return none, 0, fmt.Errorf("the broker answered for %d topics", len(response.Topics))
	}
	raw := &response.Topics[0].Partitions[0]
	p, end := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: offset, Topic: l.at.topic, Partition: partition,
		IsolationLevel: kgo.ReadUncommitted()}, raw, kgo.DefaultDecompressor(), nil)
	return p, end, p.Err
}

func fetchRequest(topic string, id [16]byte, partition int32, offset int64) *kmsg.FetchRequest {
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, offset, readBytes
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID, t.Partitions = topic, id, []kmsg.FetchRequestTopicPartition{p}
	r := kmsg.NewPtrFetchRequest()
	r.MaxBytes, r.MinBytes, r.MaxWaitMillis, r.Topics = readBytes, 1, int32(readFetchWait.Milliseconds()), []kmsg.FetchRequestTopic{t}
	return r
}

// bounds returns the first offset of a partition and the one after its last.
func (l *EventLog) bounds(ctx context.Context, partition int32) (start, end int64, err error) {
	starts, err := l.adm.ListStartOffsets(ctx, l.at.topic)
	if err != nil {
		return 0, 0, err
	}
	ends, err := l.adm.ListEndOffsets(ctx, l.at.topic)
	if err != nil {
		return 0, 0, err
	}
	s, _ := starts.Lookup(l.at.topic, partition)
	e, _ := ends.Lookup(l.at.topic, partition)
	return s.Offset, e.Offset, errors.Join(s.Err, e.Err)
}
