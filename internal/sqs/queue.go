package sqs

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
)

// Options say which queues are used, and how.
type Options struct {
	URL        string        // sqs://name?region=…&endpoint=…
	Lease      time.Duration // visibility timeout, whole seconds; 2 × timeout + 30 s
	Timeout    time.Duration // how long a put or removal is repeated before it fails; 0: 20 s
	Clock      postrider.Clock
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Queue is a postrider.Queue.
type Queue struct {
	client  *sqs.Client
	limits  postrider.QueueLimits
	timeout time.Duration
	clock   postrider.Clock
	log     *slog.Logger
	metrics *metrics
	lanes   [postrider.Lanes]*lane

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup
}

var _ postrider.Queue = (*Queue)(nil)

// lane is one of the queues.
type lane struct {
	url      string
	maxBytes int // 0: the server does not tell
	sends    *gatherer
	removes  *gatherer
	held     holder
	stats    statsCache
}

// Open connects to the queues. A queue that is missing is made where that is permitted; one with a wrong attribute is an
// error that names the attribute, the queue and the permission that is needed to change it.
func Open(ctx context.Context, o Options) (*Queue, error) {
	at, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	client, err := connect(ctx, at)
	if err != nil {
		return nil, err
	}
	q := &Queue{client: client, timeout: o.Timeout, clock: o.Clock, log: o.Logger, metrics: newMetrics(o.Registerer),
		limits: postrider.QueueLimits{MaxDelay: postrider.MaxDelay, Lease: o.Lease}}
	if q.timeout == 0 {
		q.timeout = 20 * time.Second
	}
	for i := range q.lanes {
		q.lanes[i] = &lane{}
		if err := q.ensure(ctx, at.queueName(postrider.Lane(i)), q.lanes[i]); err != nil {
			return nil, err
		}
	}
	q.limits.MaxBytes = q.size()
	q.ctx, q.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for _, l := range q.lanes {
		l.sends = q.newGatherer(l.url, q.limits.MaxBytes, q.sendBatch)
		l.removes = q.newGatherer(l.url, q.limits.MaxBytes, q.removeBatch)
	}
	return q, nil
}

func connect(ctx context.Context, at location) (*sqs.Client, error) {
	options := []func(*config.LoadOptions) error{config.WithRetryer(func() aws.Retryer {
		return retry.AddWithMaxAttempts(retry.NewStandard(), 2)
	})}
	if at.region != "" {
		options = append(options, config.WithRegion(at.region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, postrider.Errorf(postrider.CodeUnavailable, "the AWS configuration can't be read: %w", err)
	}
	return sqs.NewFromConfig(cfg, func(c *sqs.Options) {
		if at.endpoint != "" {
			c.BaseEndpoint = aws.String(at.endpoint)
		}
	}), nil
}

// Limits tells what the queue takes; see postrider.Queue.
func (q *Queue) Limits() postrider.QueueLimits { return q.limits }

// Close ends the queue: what is being put or removed is completed or failed within the timeout, messages that were received
// and not handed out are visible again.
func (q *Queue) Close() error {
	for _, l := range q.lanes {
		q.giveBack(l)
		l.sends.close()
		l.removes.close()
	}
	q.cancel()
	q.work.Wait()
	return nil
}
