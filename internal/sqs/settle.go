package sqs

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/postrider/postrider"
)

// Settle makes what follows durable, then removes the message; see postrider.Queue.
func (q *Queue) Settle(ctx context.Context, l *postrider.Lease, follow ...postrider.Item) (*postrider.Commit, error) {
	put, err := q.Put(ctx, follow...)
	if err != nil {
		return nil, err
	}
	commit, complete := postrider.NewCommit()
	q.settles.Go(func() {
		<-put.Done() // it ends within the timeout
		if err := put.Err(); err != nil {
			complete(err)
			return
		}
		e := &entry{handle: handleOf(l), done: complete}
		if err := q.lanes[l.Lane].removes.add(q.ctx, e, q.limits.Lease); err != nil {
			complete(err)
		}
	})
	return commit, nil
}

func handleOf(l *postrider.Lease) string { h, _ := l.Engine.(string); return h }

// Return makes a message visible again after a delay; see postrider.Queue.
func (q *Queue) Return(ctx context.Context, l *postrider.Lease, delay time.Duration) error {
	delay = min(max(delay, 0), postrider.MaxDelay)
	if err := q.hide(ctx, q.lanes[l.Lane], handleOf(l), delay); err != nil {
		return postrider.Errorf(postrider.CodeUnavailable, "a message could not be given back (sqs:ChangeMessageVisibility): %w", err)
	}
	return nil
}

// hide makes a message that was received visible again after a delay.
func (q *Queue) hide(ctx context.Context, l *lane, handle string, delay time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := q.client.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: &l.url, ReceiptHandle: &handle,
		VisibilityTimeout: wholeSeconds(delay)})
	q.count("change_visibility", 0, err)
	return err
}

// giveBack returns what is held and was never handed out. What can't be returned comes again when its lease ends.
func (q *Queue) giveBack(l *lane) {
	leases := l.receiver.drop()
	for len(leases) > 0 {
		n := min(len(leases), batchEntries)
		if err := q.giveBackBatch(l, leases[:n]); err != nil {
			q.log.Warn("messages that were not begun come again when their leases end", "of", n, "error", err)
		}
		leases = leases[n:]
	}
}

func (q *Queue) giveBackBatch(l *lane, leases []*postrider.Lease) error {
	ctx, cancel := context.WithTimeout(q.ctx, closing/2)
	defer cancel()
	in := &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &l.url}
	for i, lease := range leases {
		in.Entries = append(in.Entries, types.ChangeMessageVisibilityBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: aws.String(handleOf(lease))})
	}
	out, err := q.client.ChangeMessageVisibilityBatch(ctx, in)
	q.count("change_visibility", 0, err)
	if err == nil && len(out.Failed) > 0 {
		err = fmt.Errorf("%d were refused: %s", len(out.Failed), aws.ToString(out.Failed[0].Message))
	}
	return err
}
