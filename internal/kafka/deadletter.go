package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Headers of a dead letter, beside those of the record.
const (
	headerDeadReason   = "postrider-dead-reason"
	headerDeadPosition = "postrider-dead-position"
)

// buryTimeout bounds one try to write dead letters.
const buryTimeout = 10 * time.Second

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
	graves := make([]*kgo.Record, len(dead))
	for i, d := range dead {
		graves[i] = l.grave(d)
	}
	if err := l.writeDead(ctx, graves); err != nil {
		return err
	}
	for _, d := range dead {
		l.metrics.dead.WithLabelValues(d.why.reason).Inc()
		l.log.Warn("a record can't be an event; it is in the dead-letter topic", "topic", l.at.topic, "partition", d.record.Partition,
			"offset", d.record.Offset, "reason", d.why.Error(), "dead_letter_topic", l.at.dead)
	}
	return nil
}

// writeDead writes records to the topic of dead letters. One that is too large goes with its headers alone, and one whose
// headers are too large with nothing but reason and position. A topic that has gone is made again.
func (l *EventLog) writeDead(ctx context.Context, graves []*kgo.Record) error {
	topic, err := l.topic()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, buryTimeout)
	defer cancel()
	for i, result := range topic.producer.sync(ctx, graves...) {
		err := result.Err
		for _, smaller := range smallerGraves(graves[i]) {
			if !errors.Is(err, kerr.MessageTooLarge) && !errors.Is(err, kerr.RecordListTooLarge) {
				break
			}
			err = topic.producer.sync(ctx, smaller).FirstErr()
		}
		if err != nil {
			l.metrics.failed("dead_letter")
			return unavailable("the dead-letter topic "+l.at.dead, errors.Join(err, l.makeDead(ctx)))
		}
	}
	return nil
}

// makeDead makes the topic of dead letters again if it has gone.
func (l *EventLog) makeDead(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), buryTimeout)
	defer cancel()
	_, err := ensureTopic(ctx, l.adm, l.at, l.at.dead, l.configs())
	return err
}

func (l *EventLog) grave(d deadLetter) *kgo.Record {
	r := &kgo.Record{Topic: l.at.dead, Key: d.record.Key, Value: d.record.Value, Timestamp: d.record.Timestamp}
	r.Headers = append(slices.Clone(d.record.Headers),
		kgo.RecordHeader{Key: headerDeadReason, Value: []byte(d.why.Error())},
		kgo.RecordHeader{Key: headerDeadPosition, Value: []byte(l.at.topic + "/" + string(placeOf(d.record).position()))})
	return r
}

// smallerGraves are what is written if a dead letter is too large: its headers, then what was added to them.
func smallerGraves(r *kgo.Record) []*kgo.Record {
	return []*kgo.Record{
		{Topic: r.Topic, Timestamp: r.Timestamp, Headers: r.Headers},
		{Topic: r.Topic, Timestamp: r.Timestamp, Headers: r.Headers[max(len(r.Headers)-2, 0):]},
	}
}

// recordGap writes that records were gone before they were read to the topic of dead letters, so that it is known when the
// logs are not there any more.
func (l *EventLog) recordGap(ctx context.Context, p *part, g *gap, next *kgo.Record) error {
	count := "an unknown number of"
	if g.count >= 0 {
		count = formatInt(g.count)
	}
	why := &refusal{deadGap, fmt.Sprintf("%s records from offset %d on were gone before they were read; read on from %d", count, g.from, next.Offset)}
	position := fmt.Sprintf("%s/%d-%d", l.at.topic, p.number, g.from)
	err := l.writeDead(ctx, []*kgo.Record{{Topic: l.at.dead, Timestamp: l.clock(), Headers: []kgo.RecordHeader{
		{Key: headerDeadReason, Value: []byte(why.Error())}, {Key: headerDeadPosition, Value: []byte(position)}}}})
	if err == nil {
		g.recorded = true
		l.metrics.dead.WithLabelValues(deadGap).Inc()
	}
	return err
}
