package sqs

import (
	"context"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/postrider/postrider"
)

const (
	longPoll  = 5 // seconds: Close waits for it, since what is handed to a request that was cut off is hidden for a lease
	shortPoll = 1 // of the pollers beyond the first: long enough that all of SQS's servers are asked
)

// Take receives messages; see postrider.Queue. One long poll waits for them; while they abound more receives run beside it,
// as many as the credit has room for, and go on beyond the call: what is over the credit is held for the next. If the call ends
// with its context, what is held and what comes then is given back.
func (q *Queue) Take(ctx context.Context, r postrider.TakeRequest) ([]*postrider.Lease, error) {
	if q.polling.Err() != nil {
		return nil, errClosed
	}
	l := q.lanes[r.Lane]
	for {
		leases, changed, err := l.receiver.take(r.Credit, q.clock().Add(q.limits.Lease/16), func(wait int32, limit int) { //nolint:contextcheck // a receive outlasts the call
			q.returns.Go(func() {
				if l.receiver.ended(q.receive(r.Lane, l, limit, wait)) {
					q.giveBack(l)
				}
			})
		})
		if len(leases) > 0 {
			return leases, nil
		}
		if err != nil && q.polling.Err() == nil {
			return nil, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			l.receiver.leave()
			q.returns.Go(func() { q.giveBack(l) }) //nolint:contextcheck // the context has ended; what was held is nobody's, as is what comes
			return nil, context.Cause(ctx)
		case <-q.polling.Done():
			return nil, errClosed
		}
	}
}

// receive makes one request and holds what it brings; it returns how many messages that were of the limit.
func (q *Queue) receive(lane postrider.Lane, l *lane, limit int, wait int32) (n, of int, err error) {
	ctx, cancel := context.WithTimeout(q.polling, time.Duration(wait)*time.Second+requestTimeout)
	defer cancel()
	out, err := q.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &l.url, MaxNumberOfMessages: int32(limit), WaitTimeSeconds: wait,
		VisibilityTimeout:           int32(q.limits.Lease / time.Second),
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{"ApproximateReceiveCount", "SentTimestamp", "MessageGroupId"}})
	if q.polling.Err() != nil && err != nil {
		return 0, limit, errClosed
	}
	size := 0
	if err == nil {
		for _, m := range out.Messages {
			size += len(aws.ToString(m.Body))
		}
	}
	q.count("receive", size, err)
	if err != nil {
		return 0, limit, postrider.Errorf(postrider.CodeUnavailable, "receive from %s (sqs:ReceiveMessage): %w", l.name, err)
	}
	expires := q.clock().Add(q.limits.Lease) // a long poll hands a message out when it answers
	for i := range out.Messages {
		q.hold(lane, l, &out.Messages[i], expires)
	}
	return len(out.Messages), limit, nil
}

// hold decodes a message and keeps it for a Take.
func (q *Queue) hold(lane postrider.Lane, l *lane, m *types.Message, expires time.Time) {
	receives, _ := strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
	var sent time.Time
	if ms, err := strconv.ParseInt(m.Attributes["SentTimestamp"], 10, 64); err == nil {
		sent = time.UnixMilli(ms)
	}
	item, err := decode(lane, aws.ToString(m.Body))
	if err != nil {
		q.work.Go(func() { q.unreadable(lane, l, m, max(receives, 1), sent, err) })
		return
	}
	due := dueOf(&item, sent)
	l.stats.sawDue(due)
	if receives <= 1 && !due.IsZero() {
		q.metrics.wait.WithLabelValues(lane.String()).Observe(max(q.clock().Sub(due), 0).Seconds())
	}
	l.receiver.add(&postrider.Lease{Item: item, Expires: expires, Receives: max(receives, 1), Engine: aws.ToString(m.ReceiptHandle)})
}

// dueOf is since when an item has been due: when it was sent, or when the first of its deliveries was due, if that is later.
func dueOf(item *postrider.Item, sent time.Time) time.Time {
	if item.Pack == nil || sent.IsZero() {
		return sent
	}
	first := time.Time{}
	for i := range item.Pack.Deliveries {
		if due := item.Pack.Deliveries[i].Due; first.IsZero() || due.Before(first) {
			first = due
		}
	}
	if first.After(sent) {
		return first
	}
	return sent
}
