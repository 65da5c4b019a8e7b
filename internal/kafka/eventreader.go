package kafka

import (
	"context"
	"errors"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider"
)

// eventReader is a postrider.EventReader.
type eventReader struct {
	log    *EventLog
	member *member

	mu    sync.Mutex
	marks map[*postrider.EventBatch]*item // returned by Next, not committed yet
}

// Reader joins the group; see postrider.EventLog.
func (l *EventLog) Reader(_ context.Context) (postrider.EventReader, error) {
	if _, err := l.topic(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errClosed()
	}
	opts, err := l.at.options(l.metrics)
	if err != nil {
		return nil, err
	}
	r := &eventReader{log: l, marks: make(map[*postrider.EventBatch]*item)}
	r.member, err = join(opts, memberOptions{topic: l.at.topic, group: l.at.group, fromLatest: l.at.latest, buffer: l.buffer, revokeWait: l.revokeWait,
		log: l.log, metrics: l.metrics, decode: l.decodeRecords})
	if err != nil {
		return nil, err
	}
	l.readers[r.member] = struct{}{}
	return r, nil
}

// decodeRecords makes a batch of the first n records. What can't be an event is in the dead-letter topic when it returns. A
// record that has to wait, for the schema registry or the dead-letter topic, does not hold up those before it.
func (l *EventLog) decodeRecords(ctx context.Context, p *part, records []*kgo.Record, g *gap) (value any, n int, err error) {
	b := &postrider.EventBatch{Partition: partitionName(p.number), Lost: p.lost}
	if g != nil {
		if !g.recorded {
			if err := l.recordGap(ctx, p, g, records[0]); err != nil {
				return nil, 0, err
			}
		}
		b.Gap = &postrider.Gap{From: place{partition: p.number, offset: g.from}.position(), To: placeOf(records[0]).position(), Count: g.count}
	}
	dead, before, n, err := l.sort(ctx, records, b)
	if n == 0 {
		return nil, 0, err
	}
	if err := l.bury(ctx, dead); err != nil {
		if before == 0 {
			return nil, 0, err
		}
		b.Events, n = b.Events[:before], before // none but events come before the first dead letter
	}
	b.End = placeOf(records[n-1]).position()
	if len(b.Events) == 0 && b.Gap == nil {
		return nil, n, nil
	}
	return b, n, nil
}

// sort adds the events among records to a batch and returns the rest, how many events come before it, and how many records
// were seen: fewer where one has to wait, and the error then says for what.
func (l *EventLog) sort(ctx context.Context, records []*kgo.Record, b *postrider.EventBatch) (dead []deadLetter, before, n int, err error) {
	before = -1
	for _, r := range records {
		e, err := l.eventOf(ctx, r)
		var refused *refusal
		switch {
		case errors.As(err, &refused):
			if before < 0 {
				before = len(b.Events)
			}
			dead = append(dead, deadLetter{record: r, why: refused})
		case err != nil:
			return dead, max(before, 0), n, err
		default:
			b.Events = append(b.Events, e)
		}
		n++
	}
	return dead, max(before, 0), n, nil
}

// Next returns the next events; see postrider.EventReader.
func (r *eventReader) Next(ctx context.Context) (*postrider.EventBatch, error) {
	i, err := r.member.next(ctx)
	if err != nil {
		return nil, err
	}
	b := i.value.(*postrider.EventBatch)
	r.mu.Lock()
	r.marks[b] = i
	r.mu.Unlock()
	return b, nil
}

// Commit moves the offset; see postrider.EventReader.
func (r *eventReader) Commit(b *postrider.EventBatch) {
	r.mu.Lock()
	i := r.marks[b]
	delete(r.marks, b)
	r.forget()
	r.mu.Unlock()
	if i != nil {
		i.part.advance(i.mark)
	}
}

// forget drops what lost partitions have left, once there is much.
func (r *eventReader) forget() {
	if len(r.marks) < 1024 {
		return
	}
	for b, i := range r.marks {
		select {
		case <-i.part.lost:
			delete(r.marks, b)
		default:
		}
	}
}

// Close makes the offsets durable and leaves the group.
func (r *eventReader) Close() error {
	r.log.mu.Lock()
	delete(r.log.readers, r.member)
	r.log.mu.Unlock()
	return r.member.close()
}
