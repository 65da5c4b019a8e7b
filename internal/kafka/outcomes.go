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
	at       location
	options  OutcomeOptions
	producer *producer
	adm      *kadm.Client
	topic    topicInfo
	metrics  *metrics

	mu      sync.Mutex
	readers map[*member]*outcomeReader
	closed  bool
}

var _ postrider.OutcomeLog = (*OutcomeLog)(nil)

// OpenOutcomes connects to the topic, which is made where that is permitted, with the broker's timestamps: then each
// partition is in order of time.
func OpenOutcomes(ctx context.Context, o OutcomeOptions) (*OutcomeLog, error) {
	at, err := parseURL("outcomes", o.URL)
	if err != nil {
		return nil, err
	}
	o.defaults()
	l := &OutcomeLog{at: at, options: o, metrics: newMetrics(o.Registerer, "outcomes"), readers: make(map[*member]*outcomeReader)}
	opts, err := at.options(l.metrics)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	l.adm = kadm.NewClient(client)
	configs := map[string]string{"message.timestamp.type": "LogAppendTime"}
	if l.topic, err = ensureTopic(ctx, l.adm, at, at.topic, configs); err == nil {
		l.producer, err = newProducer(at, l.metrics, outcomeBatchBytes, o.Timeout)
	}
	if err != nil {
		client.Close()
		return nil, err
	}
	if !l.topic.appendTime {
		o.Logger.Warn("the outcome topic keeps producers' timestamps: the archive's asOf lags further behind; set message.timestamp.type=LogAppendTime",
			"topic", at.topic)
	}
	return l, nil
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
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return nil, errClosed()
	}
	var records []*kgo.Record
	for _, group := range byEvent(outcomes) {
		records = l.encode(records, group)
	}
	return l.producer.write(ctx, records, nil)
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
func (l *OutcomeLog) Check(ctx context.Context) error { return checkTopic(ctx, l.adm, l.at.topic) }

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
	errs = append(errs, l.producer.close())
	l.adm.Close()
	return errors.Join(errs...)
}
