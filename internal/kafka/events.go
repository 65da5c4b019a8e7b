package kafka

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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
	Retention   time.Duration // of a topic that is made; 0: the brokers' default
	OwnKey      []byte        // proves Postrider's own events, the same in every process; empty: there are none
	Clock       postrider.Clock
	Logger      *slog.Logger
	Registerer  prometheus.Registerer
}

// EventLog is a postrider.EventLog.
type EventLog struct {
	at         location
	codec      *codec
	own        own
	adm        *admin
	dials      *dialing
	link       *link
	connected  atomic.Pointer[eventTopic] // nil until the link is ready
	timeout    time.Duration
	maxPayload int64
	retention  time.Duration
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

// eventTopic is what is known once the topic is there.
type eventTopic struct {
	topicInfo
	limit    int64 // of a payload
	producer *producer
}

var (
	_ postrider.EventLog = (*EventLog)(nil)
	_ postrider.Checker  = (*EventLog)(nil)
)

// maxReads is how many reads by position are under way at once.
const maxReads = 8

// OpenEvents connects to the topic, which is made where that is permitted, and so is the topic of dead letters. Brokers that
// are away are no error: the log answers CodeUnavailable until they are there, and tries to connect with back-off. What the
// brokers refuse is one.
func OpenEvents(ctx context.Context, o EventOptions) (*EventLog, error) {
	at, err := parseURL("events", o.URL)
	if err != nil {
		return nil, err
	}
	l := &EventLog{at: at, own: own{o.OwnKey}, maxPayload: o.MaxPayload, retention: o.Retention, buffer: o.BufferBytes, revokeWait: o.RevokeWait, timeout: o.Timeout, clock: o.Clock, log: o.Logger,
		metrics: newMetrics(o.Registerer, "events"), reads: make(chan struct{}, maxReads), readers: make(map[*member]struct{}), ended: make(chan struct{}),
		dials: &dialing{}}
	l.defaults()
	registry, err := newRegistry(at.registry)
	if err != nil {
		return nil, err
	}
	if l.codec, err = newCodec(registry); err != nil {
		return nil, err
	}
	opts, err := at.options(l.metrics)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(opts, kgo.WithHooks(l.dials))...)
	if err != nil {
		return nil, err
	}
	l.adm = newAdmin(client)
	if l.link, err = newLink(ctx, l.log, at.topic, l.connect); err != nil {
		client.Close()
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

// connect sees to the topics, and works out the limits.
func (l *EventLog) connect(ctx context.Context) error {
	info, err := ensureTopic(ctx, l.adm, l.at, l.at.topic, l.configs())
	if err == nil {
		_, err = ensureTopic(ctx, l.adm, l.at, l.at.dead, l.configs())
	}
	if err != nil {
		return l.dials.explain(err)
	}
	t := &eventTopic{topicInfo: info, limit: l.maxPayload}
	maxBatch := l.maxPayload + batchSlack
	if m := info.maxBytes; m > 0 && m < maxBatch {
		t.limit, maxBatch = min(max(m-batchSlack, m/2), l.maxPayload), m
		l.log.Warn("the topic takes less than --max-payload: larger events are refused", "topic", l.at.topic, "max_message_bytes", m,
			"max_payload", l.maxPayload, "limit", t.limit)
	}
	info.warnOfRetention(l.log, l.at.topic, "event-retention", l.retention)
	if t.producer, err = newProducer(l.at, l.metrics, maxBatch, l.timeout); err != nil {
		return err
	}
	l.connected.Store(t)
	return nil
}

// configs are the settings of topics that are made.
func (l *EventLog) configs() map[string]string {
	return withRetention(map[string]string{"max.message.bytes": formatInt(l.maxPayload + batchSlack)}, l.retention)
}

// topic is what the log works on, or CodeUnavailable while it is not connected yet.
func (l *EventLog) topic() (*eventTopic, error) {
	if l.isClosed() {
		return nil, errClosed()
	}
	if t := l.connected.Load(); t != nil {
		return t, nil
	}
	return nil, unavailable("no broker has answered yet", l.link.check())
}

// Append adds events; see postrider.EventLog.
func (l *EventLog) Append(ctx context.Context, events []*postrider.Event) (*postrider.Commit, error) {
	limit := l.Limits().MaxBytes
	for _, e := range events {
		if int64(len(e.Payload.Bytes)) > limit {
			return nil, postrider.Errorf(postrider.CodeTooLarge, "a payload of %d bytes is over the limit of %d", len(e.Payload.Bytes), limit)
		}
	}
	topic, err := l.topic()
	if err != nil {
		return nil, err
	}
	records := make([]*kgo.Record, len(events))
	for i, e := range events {
		records[i] = l.recordOf(e)
	}
	return topic.producer.write(ctx, records, func() {
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

// Limits tells what the log takes: --max-payload, and less once a topic has answered that takes less.
func (l *EventLog) Limits() postrider.EventLimits {
	if t := l.connected.Load(); t != nil {
		return postrider.EventLimits{MaxBytes: t.limit}
	}
	return postrider.EventLimits{MaxBytes: l.maxPayload}
}

// Check says what is missing for the log to work, or nil.
func (l *EventLog) Check(ctx context.Context) error {
	if err := l.link.check(); err != nil {
		return err
	}
	return l.dials.explain(checkTopic(ctx, l.adm, l.at.topic))
}

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
	l.link.close()
	if t := l.connected.Load(); t != nil {
		errs = append(errs, t.producer.close())
	}
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
