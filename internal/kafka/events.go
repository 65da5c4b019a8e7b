package kafka

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider"
)

// EventOptions say which topic holds the events, and how it is used.
type EventOptions struct {
	URL         string        // kafka://host:9092[,host…]/topic?…
	MaxPayload  int64         // bytes; 0: 16 MiB
	BufferBytes int64         // read ahead of Next, in all; 0: 64 MiB
	Timeout     time.Duration // how long an event is tried before its Commit fails; 0: 20 s
	RevokeWait  time.Duration // how long a partition that is taken away waits for what is in hand; 0: 2 s
	Clock       postrider.Clock
	Logger      *slog.Logger
	Registerer  prometheus.Registerer
}

// EventLog is a postrider.EventLog.
type EventLog struct {
	at         location
	codec      *codec
	producer   *producer
	adm        *kadm.Client
	topic      topicInfo
	maxPayload int64
	limit      int64
	buffer     int64
	revokeWait time.Duration
	clock      postrider.Clock
	log        *slog.Logger
	metrics    *metrics
	reads      chan struct{} // a place each for the reads under way

	mu      sync.Mutex
	readers map[*member]struct{}
	closed  bool
	ended   chan struct{}
}

var _ postrider.EventLog = (*EventLog)(nil)

// maxReads is how many reads by position are under way at once.
const maxReads = 8

// OpenEvents connects to the topic, which is made where that is permitted, and so is the topic of dead letters.
func OpenEvents(ctx context.Context, o EventOptions) (*EventLog, error) {
	at, err := parseURL("events", o.URL)
	if err != nil {
		return nil, err
	}
	l := &EventLog{at: at, maxPayload: o.MaxPayload, buffer: o.BufferBytes, revokeWait: o.RevokeWait, clock: o.Clock, log: o.Logger,
		metrics: newMetrics(o.Registerer, "events"), reads: make(chan struct{}, maxReads), readers: make(map[*member]struct{}), ended: make(chan struct{})}
	l.defaults()
	registry, err := newRegistry(at.registry)
	if err != nil {
		return nil, err
	}
	if l.codec, err = newCodec(registry); err != nil {
		return nil, err
	}
	if err := l.open(ctx, o.Timeout); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *EventLog) defaults() {
	if l.maxPayload == 0 {
		l.maxPayload = 16 << 20
	}
	if l.buffer == 0 {
		l.buffer = 64 << 20
	}
	if l.revokeWait == 0 {
		l.revokeWait = 2 * time.Second
	}
	if l.clock == nil {
		l.clock = time.Now
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
}

// open connects, sees to the topics, and works out the limits.
func (l *EventLog) open(ctx context.Context, timeout time.Duration) error {
	opts, err := l.at.options(l.metrics)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	l.adm = kadm.NewClient(client)
	configs := map[string]string{"max.message.bytes": formatInt(l.maxPayload + batchSlack)}
	if l.topic, err = ensureTopic(ctx, l.adm, l.at, l.at.topic, configs); err == nil {
		_, err = ensureTopic(ctx, l.adm, l.at, l.at.dead, configs)
	}
	if err != nil {
		client.Close()
		return err
	}
	l.limit = l.maxPayload
	maxBatch := l.maxPayload + batchSlack
	if m := l.topic.maxBytes; m > 0 && m < maxBatch {
		l.limit, maxBatch = max(m-batchSlack, m/2), m
		l.log.Warn("the topic takes less than --max-payload", "topic", l.at.topic, "max_message_bytes", m, "limit", l.limit)
	}
	if l.producer, err = newProducer(l.at, l.metrics, maxBatch, timeout); err != nil {
		client.Close()
	}
	return err
}

// Append adds events; see postrider.EventLog.
func (l *EventLog) Append(ctx context.Context, events []*postrider.Event) (*postrider.Commit, error) {
	for _, e := range events {
		if int64(len(e.Payload.Bytes)) > l.limit {
			return nil, postrider.Errorf(postrider.CodeTooLarge, "a payload of %d bytes is over the limit of %d", len(e.Payload.Bytes), l.limit)
		}
	}
	if l.isClosed() {
		return nil, errClosed()
	}
	records := make([]*kgo.Record, len(events))
	for i, e := range events {
		records[i] = l.recordOf(e)
	}
	return l.producer.write(ctx, records, func() {
		for i, e := range events {
			at := placeOf(records[i])
			e.Position = at.position()
			if e.AcceptedAt.IsZero() {
				e.AcceptedAt = millis(records[i].Timestamp)
			}
			if e.ID == "" {
				e.ID = postrider.DerivedEventID(l.at.topic, at.partition, at.offset, e.AcceptedAt)
			}
		}
	})
}

// Limits tells what the log takes.
func (l *EventLog) Limits() postrider.EventLimits { return postrider.EventLimits{MaxBytes: l.limit} }

// Check says what is missing for the log to work, or nil.
func (l *EventLog) Check(ctx context.Context) error { return checkTopic(ctx, l.adm, l.at.topic) }

// Close ends the log and its readers.
func (l *EventLog) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	close(l.ended)
	var readers []*member
	for m := range l.readers {
		readers = append(readers, m)
	}
	l.mu.Unlock()
	var errs []error
	for _, m := range readers {
		errs = append(errs, m.close())
	}
	errs = append(errs, l.producer.close())
	l.adm.Close()
	l.codec.registry.close()
	return errors.Join(errs...)
}

func (l *EventLog) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

func errClosed() error { return postrider.Errorf(postrider.CodeGone, "the log is closed") }
