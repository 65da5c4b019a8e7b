package kafka

import (
	"context"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/wire"
)

// idleInterval is how often Through moves over partitions that have nothing to read.
const idleInterval = time.Second

// outcomeReader is a postrider.OutcomeReader.
type outcomeReader struct {
	log    *OutcomeLog
	member *member
	margin time.Duration

	mu    sync.Mutex
	marks map[*postrider.OutcomeBatch]*item // returned by Next, not archived yet

	through map[*part]time.Time // the latest that Next returned; used by Next alone
}

var _ postrider.OutcomeReader = (*outcomeReader)(nil)

// Reader joins the archivers; see postrider.OutcomeLog.
func (l *OutcomeLog) Reader(_ context.Context, from func(context.Context, string) (postrider.Position, error)) (postrider.OutcomeReader, error) {
	topic, err := l.topic()
	if err != nil {
		return nil, err
	}
	opts, err := l.at.options(l.metrics)
	if err != nil {
		return nil, err
	}
	r := &outcomeReader{log: l, margin: l.margin(topic.appendTime), marks: make(map[*postrider.OutcomeBatch]*item), through: make(map[*part]time.Time)}
	start := func(ctx context.Context, partition int32) (kgo.Offset, error) {
		if err := l.renew(ctx); err != nil {
			return kgo.Offset{}, err
		}
		at, err := from(ctx, partitionName(partition))
		if err != nil {
			return kgo.Offset{}, err
		}
		return l.offset(at), nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errClosed()
	}
	r.member, err = join(opts, memberOptions{topic: l.at.topic, group: l.at.group, buffer: l.options.BufferBytes, revokeWait: l.options.RevokeWait,
		log: l.options.Logger, metrics: l.metrics, decode: r.decode, start: start})
	if err != nil {
		return nil, err
	}
	l.readers[r.member] = r
	r.member.work.Go(r.idle)
	return r, nil
}

// margin is how far Through stays behind a record's timestamp. A producer's own timestamp is older than the record's place
// in the partition by as long as the record may be tried.
func (l *OutcomeLog) margin(appendTime bool) time.Duration {
	if appendTime {
		return l.options.Skew
	}
	return l.options.Skew + l.options.Timeout + stuck
}

// renew learns the id of a topic that was made anew, before its partitions are read.
func (l *OutcomeLog) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, topicTimeout)
	defer cancel()
	id, err := topicID(ctx, l.adm, l.at.topic)
	if err != nil {
		return unavailable("topic "+l.at.topic, err)
	}
	if t := *l.connected.Load(); t.id != id {
		l.options.Logger.Error("the outcome topic was made anew; what was in it and is not archived is lost", "topic", l.at.topic)
		t.id = id
		l.connected.Store(&t)
	}
	return nil
}

// position is "topic-offset": the first bytes of the topic's id tell a topic that was made anew.
func (l *OutcomeLog) position(offset int64) postrider.Position {
	return postrider.Position(l.mark() + "-" + formatInt(offset))
}

func (l *OutcomeLog) mark() string {
	id := l.connected.Load().id
	return hex.EncodeToString(id[:8])
}

// offset is where a partition is read on. A position of another topic means the beginning.
func (l *OutcomeLog) offset(at postrider.Position) kgo.Offset {
	topic, number, _ := strings.Cut(string(at), "-")
	n, err := strconv.ParseInt(number, 10, 64)
	switch {
	case at == "":
	case err != nil || n < 0 || topic != l.mark():
		l.options.Logger.Error("the archived position is none of this outcome topic; reading it from its beginning", "topic", l.at.topic, "position", at)
	default:
		return kgo.NewOffset().At(n)
	}
	return kgo.NewOffset().AtStart()
}

// decode makes a batch of records. A record that can't be read is left out: it is none of Postrider's.
func (r *outcomeReader) decode(_ context.Context, p *part, records []*kgo.Record, _ *gap) (any, int, error) {
	last := records[len(records)-1]
	b := &postrider.OutcomeBatch{Partition: partitionName(p.number), End: r.log.position(last.Offset + 1), Through: last.Timestamp.Add(-r.margin).UTC()}
	for _, record := range records {
		outcomes, err := wire.DecodeOutcomes(record.Value)
		if err != nil {
			r.log.metrics.dead.WithLabelValues("wire").Inc()
			r.log.options.Logger.Error("a record of the outcome topic can't be read and is left out", "topic", r.log.at.topic,
				"partition", p.number, "offset", record.Offset, "error", err)
			continue
		}
		b.Outcomes = append(b.Outcomes, outcomes...)
	}
	return b, len(records), nil
}

// Next returns the next outcomes; see postrider.OutcomeReader.
func (r *outcomeReader) Next(ctx context.Context) (*postrider.OutcomeBatch, error) {
	i, err := r.member.next(ctx)
	if err != nil {
		return nil, err
	}
	b := i.value.(*postrider.OutcomeBatch)
	r.forward(i.part, b)
	if i.mark != nil {
		r.mu.Lock()
		r.marks[b] = i
		r.mu.Unlock()
	}
	return b, nil
}

// forward keeps Through from going back where the clocks of the brokers and of this process differ.
func (r *outcomeReader) forward(p *part, b *postrider.OutcomeBatch) {
	if last, known := r.through[p]; known && b.Through.Before(last) {
		b.Through = last
	} else if !known { // partitions that are gone make room
		for old := range r.through {
			if old.ctx.Err() != nil {
				delete(r.through, old)
			}
		}
	}
	r.through[p] = b.Through
}

// Archived says that a batch is durable in the database; the offset committed for it serves the measure of lag.
func (r *outcomeReader) Archived(b *postrider.OutcomeBatch) {
	r.mu.Lock()
	i := r.marks[b]
	delete(r.marks, b)
	r.mu.Unlock()
	if i != nil {
		i.part.advance(i.mark)
	}
}

// Close leaves the group.
func (r *outcomeReader) Close() error {
	r.log.mu.Lock()
	delete(r.log.readers, r.member)
	r.log.mu.Unlock()
	return r.stop()
}

func (r *outcomeReader) stop() error { return r.member.close() }

// idle moves Through over partitions that were read to their end.
func (r *outcomeReader) idle() {
	tick := time.NewTicker(idleInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-r.member.ctx.Done():
			return
		}
		if err := r.pass(); err != nil && r.member.ctx.Err() == nil {
			r.member.fault(err)
		}
	}
}

// pass sends a batch without outcomes for each partition that had nothing to read when its end was asked for.
func (r *outcomeReader) pass() error {
	ctx, cancel := context.WithTimeout(r.member.ctx, topicTimeout)
	defer cancel()
	asked := r.log.options.Clock()
	ends, err := r.log.adm.ListEndOffsets(ctx, r.log.at.topic)
	if err != nil {
		return err
	}
	for _, p := range r.member.all() {
		end, ok := ends.Lookup(r.log.at.topic, p.number)
		if !ok || end.Err != nil {
			err = errors.Join(err, end.Err)
			continue
		}
		at, quiet := p.quiet(end.Offset)
		if !quiet {
			continue
		}
		b := &postrider.OutcomeBatch{Partition: partitionName(p.number), End: r.log.position(at), Through: asked.Add(-r.margin).UTC()}
		select {
		case r.member.out <- &item{part: p, value: b, at: at}:
		case <-p.ctx.Done():
		case <-ctx.Done():
			return nil
		}
	}
	return err
}
