package sqs

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/awsapi"
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

// lead is time enough to hand on tens of thousands of retries before they are due. It is no longer than the shortest delay of a
// retry with the default base, since what is put for less comes at once, and meets less of its kind.
const lead = 5 * time.Second

// gather is how long retries are gathered: each item costs a part of three requests at least.
const gather = 100 * time.Millisecond

// How long Close waits for what is under way.
const (
	closing      = 10 * time.Second
	lastReceives = (longPoll + 1) * time.Second // of it, for what is being received
)

// Queue is a postrider.Queue.
type Queue struct {
	at      location
	client  *sqs.Client
	limits  postrider.QueueLimits
	timeout time.Duration
	clock   postrider.Clock
	log     *slog.Logger
	metrics *metrics
	health  awsapi.Health
	lanes   [postrider.Lanes]*lane

	ctx     context.Context // of all requests but receives; ends with Close, or when that has waited long enough
	cancel  context.CancelFunc
	polling context.Context // of receives; ends when Close begins
	halt    context.CancelFunc
	settles sync.WaitGroup
	returns sync.WaitGroup // of messages that nobody wants, to the server
	work    sync.WaitGroup
}

var _ postrider.Queue = (*Queue)(nil)

// lane is one of the queues.
type lane struct {
	name     string
	url      string
	maxBytes int // 0: the server does not tell
	sends    *gatherer
	removes  *gatherer
	receiver receiver
	stats    statsCache
}

// Open connects to the queues. A queue that is missing is made where that is permitted; one with a wrong attribute is an
// error that names the queue, the attribute and the permission that is needed to change it, and so is a request that is
// denied (CodeInvalid, CodeForbidden). CodeUnavailable says that the server does not answer: opening it again may do better.
func Open(ctx context.Context, o Options) (*Queue, error) {
	at, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	client, err := newClient(ctx, at)
	if err != nil {
		return nil, err
	}
	q := &Queue{at: at, client: client, timeout: o.Timeout, clock: o.Clock, log: o.Logger, metrics: newMetrics(o.Registerer),
		limits: postrider.QueueLimits{MaxDelay: postrider.MaxDelay, Lease: o.Lease, Step: time.Second, Lead: lead, Gather: gather}}
	if q.timeout == 0 {
		q.timeout = 20 * time.Second
	}
	q.ctx, q.cancel = context.WithCancel(context.WithoutCancel(ctx))
	q.polling, q.halt = context.WithCancel(q.ctx)
	for i := range q.lanes {
		q.lanes[i] = &lane{name: at.queueName(postrider.Lane(i))}
	}
	if err := q.ensureAll(ctx); err != nil {
		q.cancel()
		return nil, err
	}
	q.limits.MaxBytes = q.size()
	for i, l := range q.lanes {
		l.receiver.init()
		l.sends = q.newGatherer(l, sendWait(postrider.Lane(i)), q.sendBatch)
		l.removes = q.newGatherer(l, removeWait, q.removeBatch)
	}
	return q, nil
}

// newClient makes a client that makes each request once: what is worth repeating is repeated here, where it is counted.
func newClient(ctx context.Context, at location) (*sqs.Client, error) {
	cfg, err := awsapi.Config(ctx, awsapi.Options{Region: at.region, MaxIdle: 2 * senders * int(postrider.Lanes),
		Retryer: func() aws.Retryer { return aws.NopRetryer{} }})
	if err != nil {
		return nil, err
	}
	return sqs.NewFromConfig(cfg, func(c *sqs.Options) {
		if at.endpoint != "" {
			c.BaseEndpoint = aws.String(at.endpoint)
		}
	}), nil
}

// endReceives waits for the receives under way, since what the server hands out to a request that is cut off comes again only when
// its lease ends.
func (q *Queue) endReceives() {
	ctx, cancel := context.WithTimeout(q.ctx, lastReceives)
	defer cancel()
	for _, l := range q.lanes {
		l.receiver.close()
	}
	for _, l := range q.lanes {
		l.receiver.idle(ctx)
	}
	q.halt()
}

// Limits tells what the queue takes; see postrider.Queue.
func (q *Queue) Limits() postrider.QueueLimits { return q.limits }

// Close ends the queue: what is being put or removed is completed, or failed after 10 s; messages that were received and not
// handed out are visible again.
func (q *Queue) Close() error {
	late := time.AfterFunc(closing, q.cancel)
	defer late.Stop()
	q.endReceives()
	q.returns.Wait()
	for _, l := range q.lanes {
		q.giveBack(l)
		l.sends.close()
	}
	q.settles.Wait() // each waits for what follows it, then hands its removal on
	for _, l := range q.lanes {
		l.removes.close()
	}
	q.cancel()
	q.work.Wait()
	return nil
}
