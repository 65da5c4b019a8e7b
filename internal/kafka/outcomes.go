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
	"github.com/postrider/postrider/internal/wire"
)

// Bounds of a record of outcomes.
const (
	outcomeBytes      = 900 << 10 // below the 1 MB that a topic takes by default
	outcomeBatchBytes = 1000 << 10
)

// OutcomeOptions say which topic holds the outcomes, and how it is used.
type OutcomeOptions struct {
	URL         string        // kafka://host:9092[,host…]/topic?…
	Retention   time.Duration // of a topic that is made; 0: the brokers' default
	BufferBytes int64         // read ahead of Next, in all; 0: 32 MiB
	Timeout     time.Duration // how long an outcome is tried before its Commit fails; 0: 20 s
	Skew        time.Duration // how far the clocks of Postrider's processes and the brokers may be apart; 0: 1 s
	RevokeWait  time.Duration // how long a partition that is taken away waits for what is in hand; 0: 2 s
	Clock       postrider.Clock
	Logger      *slog.Logger
	Registerer  prometheus.Registerer
}

// OutcomeLog is a postrider.OutcomeLog.
type OutcomeLog struct {
	at        location
	options   OutcomeOptions
	adm       *admin
	dials     *dialing
	link      *link
	connected atomic.Pointer[outcomeTopic] // nil until the link is ready
	metrics   *metrics

	mu      sync.Mutex
	readers map[*member]*outcomeReader
	closed  bool
}

// outcomeTopic is what is known once the topic is there.
type outcomeTopic struct {
	topicInfo
	producer *producer
}

var (
	_ postrider.OutcomeLog = (*OutcomeLog)(nil)
	_ postrider.Checker    = (*OutcomeLog)(nil)
)

// OpenOutcomes connects to the topic, which is made where that is permitted, with the broker's timestamps: then each
// partition is in order of time. Brokers that are away are no error; see OpenEvents.
func OpenOutcomes(ctx context.Context, o OutcomeOptions) (*OutcomeLog, error) {
	at, err := parseURL("outcomes", o.URL)
	if err != nil {
		return nil, err
	}
	o.defaults()
	l := &OutcomeLog{at: at, options: o, metrics: newMetrics(o.Registerer, "outcomes"), readers: make(map[*member]*outcomeReader), dials: &dialing{}}
	opts, err := at.options(l.metrics)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(opts, kgo.WithHooks(l.dials))...)
	if err != nil {
		return nil, err
	}
	l.adm = newAdmin(client)
	if l.link, err = newLink(ctx, o.Logger, at.topic, l.connect); err != nil {
		client.Close()
		return nil, err
	}
	return l, nil
}

// connect sees to the topic.
func (l *OutcomeLog) connect(ctx context.Context) error {
	info, err := ensureTopic(ctx, l.adm, l.at, l.at.topic, withRetention(map[string]string{"message.timestamp.type": "LogAppendTime"}, l.options.Retention))
	if err != nil {
		return l.dials.explain(err)
	}
	t := &outcomeTopic{topicInfo: info}
	if t.producer, err = newProducer(l.at, l.metrics, outcomeBatchBytes, l.options.Timeout); err != nil {
		return err
	}
	info.warnOfRetention(l.options.Logger, l.at.topic, "outcome-retention", l.options.Retention)
	if !info.appendTime {
		l.options.Logger.Warn("the outcome topic keeps producers' timestamps: the archive's asOf lags further behind; set message.timestamp.type=LogAppendTime",
			"topic", l.at.topic)
	}
	l.connected.Store(t)
	return nil
}

// topic is what the log works on, or CodeUnavailable while it is not connected yet.
func (l *OutcomeLog) topic() (*outcomeTopic, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errClosed()
	}
	if t := l.connected.Load(); t != nil {
		return t, nil
	}
	return nil, unavailable("no broker has answered yet", l.link.check())
}

func (o *OutcomeOptions) defaults() {
	if o.BufferBytes == 0 {
		o.BufferBytes = 32 << 20
	}
	if o.Timeout == 0 {
		o.Timeout = produceTimeout
	}
	if o.Skew == 0 {
		o.Skew = time.Second
	}
	if o.RevokeWait == 0 {
		o.RevokeWait = 2 * time.Second
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Record adds outcomes; see postrider.OutcomeLog. Those of one event make one record, unless they are too large for it.
func (l *OutcomeLog) Record(ctx context.Context, outcomes []postrider.Outcome) (*postrider.Commit, error) {
	topic, err := l.topic()
	if err != nil {
		return nil, err
	}
	var records []*kgo.Record
	for _, group := range byEvent(outcomes) {
		records = l.encode(records, group)
	}
	return topic.producer.write(ctx, records, nil)
}

// byEvent groups outcomes by tenant and event id, in the order in which these first appear.
func byEvent(outcomes []postrider.Outcome) [][]postrider.Outcome {
	type key struct{ tenant, id string }
	index := make(map[key]int, len(outcomes))
	var groups [][]postrider.Outcome
	for i := range outcomes {
		o := &outcomes[i]
		k := key{o.Tenant, o.Event.ID}
		at, seen := index[k]
		if !seen {
			at = len(groups)
			index[k] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], *o)
	}
	return groups
}

// encode appends the records of one event's outcomes, halving what is too large.
func (l *OutcomeLog) encode(records []*kgo.Record, group []postrider.Outcome) []*kgo.Record {
	value := wire.AppendOutcomes(nil, group)
	if len(value) > outcomeBytes {
		if a, b, ok := halves(group); ok {
			return l.encode(l.encode(records, a), b)
		}
	}
	key := group[0].Tenant + "/" + group[0].Event.ID
	return append(records, &kgo.Record{Topic: l.at.topic, Key: []byte(key), Value: value})
}

// halves splits outcomes, or the targets of a single fan-out.
func halves(group []postrider.Outcome) (a, b []postrider.Outcome, ok bool) {
	if n := len(group); n > 1 {
		return group[:n/2], group[n/2:], true
	}
	first, second := group[0], group[0]
	first.Targets, second.Targets = cut(first.Targets)
	first.Off, second.Off = cut(first.Off)
	ok = len(group[0].Targets)+len(group[0].Off) > 2
	return []postrider.Outcome{first}, []postrider.Outcome{second}, ok
}

func cut(ids []int64) (a, b []int64) { return ids[:len(ids)/2], ids[len(ids)/2:] }

// Check says what is missing for the log to work, or nil.
func (l *OutcomeLog) Check(ctx context.Context) error {
	if err := l.link.check(); err != nil {
		return err
	}
	return l.dials.explain(checkTopic(ctx, l.adm, l.at.topic))
}

// Close ends the log and its readers.
func (l *OutcomeLog) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	var readers []*outcomeReader
	for _, r := range l.readers {
		readers = append(readers, r)
	}
	l.mu.Unlock()
	var errs []error
	for _, r := range readers {
		errs = append(errs, r.stop())
	}
	l.link.close()
	if t := l.connected.Load(); t != nil {
		errs = append(errs, t.producer.close())
	}
	l.adm.Close()
	return errors.Join(errs...)
}
