package sqs

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/postrider/postrider"
)

// Settle makes what follows durable, then removes the message; see postrider.Queue.
func (q *Queue) Settle(ctx context.Context, l *postrider.Lease, follow ...postrider.Item) (*postrider.Commit, error) {
	put, err := q.Put(ctx, follow...)
	if err != nil {
		return nil, err
	}
	commit, complete := postrider.NewCommit()
	q.work.Go(func() {
		<-put.Done() // it ends within the timeout
		if err := put.Err(); err != nil {
			complete(err)
			return
		}
		e := &entry{handle: l.Engine.(string), done: complete}
		if err := q.lanes[l.Lane].removes.add(q.ctx, e); err != nil {
			complete(err)
		}
	})
	return commit, nil
}

// Return makes a message visible again after a delay; see postrider.Queue.
func (q *Queue) Return(ctx context.Context, l *postrider.Lease, delay time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	delay = min(max(delay, 0), postrider.MaxDelay)
	_, err := q.client.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: &q.lanes[l.Lane].url,
		ReceiptHandle: aws.String(l.Engine.(string)), VisibilityTimeout: int32((delay + time.Second - 1) / time.Second)})
	q.metrics.count("change_visibility", 0, err)
	if err != nil {
		return postrider.Errorf(postrider.CodeUnavailable, "a message could not be given back: %w", err)
	}
	return nil
}

// giveBack returns what is held and was never handed out. What can't be returned comes again when its lease ends.
func (q *Queue) giveBack(l *lane) {
	l.held.mu.Lock()
	leases := l.held.leases
	l.held.leases = nil
	l.held.mu.Unlock()
	for _, lease := range leases {
		if err := q.Return(q.ctx, lease, 0); err != nil {
			q.log.Warn("messages that were not begun come again when their leases end", "messages", len(leases), "error", err)
			return
		}
	}
}
