package sqs

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/postrider/postrider"
)

const (
	longPoll = 20 // seconds
	pollers  = 8  // receives of one Take under way at a time
)

// holder keeps messages that were received beyond a taker's credit, for the next Take.
type holder struct {
	mu      sync.Mutex
	leases  []*postrider.Lease
	perItem float64 // deliveries of a message, smoothed
	full    bool    // the last receive brought all that it asked for
}

// Take receives messages; see postrider.Queue. It begins with one long poll, and while messages abound it receives in
// parallel, as many as the credit has room for. What is over the credit is held for the next call while its lease lasts.
func (q *Queue) Take(ctx context.Context, r postrider.TakeRequest) ([]*postrider.Lease, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(q.ctx, cancel)() //nolint:contextcheck // Close ends a Take too
	l := q.lanes[r.Lane]
	for {
		if leases := l.held.take(r.Credit, q.clock().Add(q.limits.Lease/16)); len(leases) > 0 {
			return leases, nil
		}
		if err := q.receive(ctx, r, l); err != nil {
			if q.ctx.Err() != nil {
				return nil, errClosed
			}
			return nil, err
		}
	}
}

// receive makes one round of receives and adds what they bring to what is held.
func (q *Queue) receive(ctx context.Context, r postrider.TakeRequest, l *lane) error {
	wanted, parallel := l.held.plan(r.Credit)
	wait := int32(longPoll)
	if parallel > 1 {
		wait = 0
	}
	type answer struct {
		n   int
		err error
	}
	answers := make(chan answer, parallel)
	for range parallel {
		go func() {
			n, err := q.receiveOnce(ctx, r.Lane, l, min(batchEntries, wanted), wait)
			answers <- answer{n, err}
		}()
	}
	got, failures := 0, error(nil)
	for range parallel {
		a := <-answers
		got += a.n
		if a.err != nil {
			failures = a.err
		}
	}
	l.held.learn(got >= parallel*min(batchEntries, wanted))
	if got > 0 {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return failures
}

func (q *Queue) receiveOnce(ctx context.Context, lane postrider.Lane, l *lane, limit int, wait int32) (int, error) {
	at := q.clock() // the lease runs from before the request, to be on the safe side
	out, err := q.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &l.url, MaxNumberOfMessages: int32(limit), WaitTimeSeconds: wait,
		VisibilityTimeout:           int32(q.limits.Lease / time.Second),
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{"ApproximateReceiveCount", "SentTimestamp"}})
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	size := 0
	if err == nil {
		for _, m := range out.Messages {
			size += len(aws.ToString(m.Body))
		}
	}
	q.metrics.count("receive", size, err)
	if err != nil {
		return 0, postrider.Errorf(postrider.CodeUnavailable, "the queue did not answer: %w", err)
	}
	if wait > 0 {
		at = q.clock() // a long poll hands a message out when it answers
	}
	for _, m := range out.Messages {
		q.hold(lane, l, m, at.Add(q.limits.Lease))
	}
	return len(out.Messages), nil
}

// hold decodes a message. One that can't be read, being of a later version, is left for who can: it is visible again when
// its lease ends.
func (q *Queue) hold(lane postrider.Lane, l *lane, m types.Message, expires time.Time) {
	item, err := decode(lane, aws.ToString(m.Body))
	if err != nil {
		q.metrics.unreadable.Inc()
		q.log.Error("a message can't be read and is left in the queue", "lane", lane.String(), "message_id", aws.ToString(m.MessageId), "error", err)
		return
	}
	receives, _ := strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
	if sent, err := strconv.ParseInt(m.Attributes["SentTimestamp"], 10, 64); err == nil {
		l.stats.sawSent(time.UnixMilli(sent))
	}
	l.held.add(&postrider.Lease{Item: item, Expires: expires, Receives: max(receives, 1), Engine: aws.ToString(m.ReceiptHandle)})
}

func weight(l *postrider.Lease) int {
	if l.Pack != nil {
		return max(len(l.Pack.Deliveries), 1)
	}
	return max(len(l.Outcomes), 1)
}

func (h *holder) add(l *postrider.Lease) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leases = append(h.leases, l)
	h.perItem += (float64(weight(l)) - h.perItem) / 16
}

// take hands out what is held within a credit. A lease that ends before a time is dropped, and the message comes again.
func (h *holder) take(credit int, until time.Time) []*postrider.Lease {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []*postrider.Lease
	rest := h.leases[:0]
	for _, l := range h.leases {
		switch {
		case l.Expires.Before(until):
		case len(out) == 0 || weight(l) <= credit:
			credit -= weight(l)
			out = append(out, l)
		default:
			rest = append(rest, l)
		}
	}
	clear(h.leases[len(rest):])
	h.leases = rest
	return out
}

// plan tells how many messages a credit has room for, and how many receives are worth their request.
func (h *holder) plan(credit int) (wanted, parallel int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	wanted = max(int(float64(credit)/max(h.perItem, 1)), 1)
	if !h.full {
		return wanted, 1
	}
	return wanted, min(max(wanted/batchEntries, 1), pollers)
}

func (h *holder) learn(full bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.full = full
}
