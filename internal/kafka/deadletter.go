package kafka

import (
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider"
)

// Headers of a dead letter, beside those of the record.
const (
	headerDeadReason   = "postrider-dead-reason"
	headerDeadPosition = "postrider-dead-position"
)

// deadLetter is a record that can't be an event.
type deadLetter struct {
	record *kgo.Record
	why    *refusal
}

// bury writes dead letters and waits until they are durable. If it fails some may be there, and come again.
func (l *EventLog) bury(ctx context.Context, dead []deadLetter) error {
	if len(dead) == 0 {
		return nil
	}
	topic, err := l.topic()
	if err != nil {
		return err
	}
	client := topic.producer.client
	records := make([]*kgo.Record, len(dead))
	for i, d := range dead {
		records[i] = l.grave(d)
	}
	for i, result := range client.ProduceSync(ctx, records...) {
		err := result.Err
		if errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) {
			headers := &kgo.Record{Topic: l.at.dead, Timestamp: records[i].Timestamp, Headers: records[i].Headers}
			err = client.ProduceSync(ctx, headers).FirstErr()
		}
		if err != nil {
			l.metrics.failed("dead_letter")
			return unavailable("the dead-letter topic "+l.at.dead, err)
		}
	}
	for _, d := range dead {
		l.metrics.dead.WithLabelValues(d.why.reason).Inc()
		l.log.Warn("a record can't be an event; it is in the dead-letter topic", "topic", l.at.topic, "partition", d.record.Partition,
			"offset", d.record.Offset, "reason", d.why.Error(), "dead_letter_topic", l.at.dead)
	}
	return nil
}

func (l *EventLog) grave(d deadLetter) *kgo.Record {
	r := &kgo.Record{Topic: l.at.dead, Key: d.record.Key, Value: d.record.Value, Timestamp: d.record.Timestamp}
	r.Headers = append(slices.Clone(d.record.Headers),
		kgo.RecordHeader{Key: headerDeadReason, Value: []byte(d.why.Error())},
		kgo.RecordHeader{Key: headerDeadPosition, Value: []byte(l.at.topic + "/" + string(placeOf(d.record).position()))})
	return r
}

var _ postrider.EventReader = (*eventReader)(nil)
