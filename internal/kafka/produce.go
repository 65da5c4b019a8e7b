package kafka

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider"
)

// produceTimeout is how long a record is tried before its Commit fails. stuck is how much longer a request that is under
// way may take: after that the Commit fails without it.
const (
	produceTimeout = 20 * time.Second
	stuck          = 5 * time.Second
)

// producer writes records, all of them acknowledged by every replica in sync.
type producer struct {
	client  *kgo.Client
	metrics *metrics
	timeout time.Duration

	renewal sync.Mutex
	anew    map[string]bool // topics that were made anew, which the client does not take by itself
}

func newProducer(at location, m *metrics, maxBatch int64, timeout time.Duration) (*producer, error) {
	opts, err := at.options(m)
	if err != nil {
		return nil, err
	}
	if timeout == 0 {
		timeout = produceTimeout
	}
	opts = append(opts,
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(int32(min(max(maxBatch, 1<<10), 90<<20))),
		kgo.MaxBufferedRecords(50_000),
		kgo.MaxBufferedBytes(128<<20),
		// No delivery timeout: the client counts it from the record's timestamp, which may lie far back. The contexts bound it.
		kgo.UnknownTopicRetries(-1),
		// A caller gets its answer within a bounded time; what it repeats then may be there twice, as the contract says.
		kgo.AllowIdempotentProduceCancellation(),
	)
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	return &producer{client: client, metrics: m, timeout: timeout, anew: make(map[string]bool)}, nil
}

// failed notes a failure of a record.
func (p *producer) failed(r *kgo.Record, err error) {
	if errors.Is(err, kerr.UnknownTopicID) {
		p.renewal.Lock()
		p.anew[r.Topic] = true
		p.renewal.Unlock()
	}
}

// renew lets the client take up topics that were made anew.
func (p *producer) renew() {
	p.renewal.Lock()
	defer p.renewal.Unlock()
	for topic := range p.anew {
		p.client.PurgeTopicsFromProducing(topic)
		delete(p.anew, topic)
	}
}

// sync produces records and waits.
func (p *producer) sync(ctx context.Context, records ...*kgo.Record) kgo.ProduceResults {
	p.renew()
	results := p.client.ProduceSync(ctx, records...)
	for _, r := range results {
		p.failed(r.Record, r.Err)
	}
	return results
}

// write produces records and completes the Commit when all are acknowledged or the first has failed. acked is called
// before, with nothing else running, and only if all are there.
func (p *producer) write(ctx context.Context, records []*kgo.Record, acked func()) (*postrider.Commit, error) {
	if len(records) == 0 {
		return postrider.Committed(), nil
	}
	p.renew()
	commit, complete := postrider.NewCommit()
	w := &write{open: len(records), acked: acked, complete: complete, producer: p}
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.timeout)
	w.cancel = cancel
	w.timer = time.AfterFunc(p.timeout+stuck, func() {
		w.end(unavailable("no acknowledgement in time", context.DeadlineExceeded))
	})
	for _, r := range records {
		p.client.Produce(work, r, w.promise)
	}
	return commit, nil
}

// write is records under way.
type write struct {
	producer *producer
	cancel   context.CancelFunc
	timer    *time.Timer
	acked    func()
	complete func(error)

	mu   sync.Mutex
	open int
	err  error
	over bool
}

func (w *write) promise(r *kgo.Record, err error) {
	w.producer.failed(r, err)
	w.mu.Lock()
	w.open--
	if err != nil && w.err == nil {
		w.err = produceError(err)
		w.producer.metrics.failed("produce")
	}
	last := w.open == 0
	err = w.err
	w.mu.Unlock()
	if last {
		w.end(err)
	}
}

func (w *write) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	w.over = true
	w.cancel()
	w.timer.Stop()
	if err == nil && w.acked != nil {
		w.acked()
	}
	w.complete(err)
}

func produceError(err error) error {
	if errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) {
		return &postrider.Error{Code: postrider.CodeTooLarge, Message: "Kafka does not take a record of this size", Err: err}
	}
	return unavailable("the record was not acknowledged", err)
}

// close waits for what is under way, at most as long as a record is tried, and ends the rest.
func (p *producer) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), p.timeout)
	defer cancel()
	err := p.client.Flush(ctx)
	p.client.Close()
	return err
}
