package sqs

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/postrider/postrider"
)

// Put adds items; see postrider.Queue. The Commit is durable when the server has acknowledged every one. It fails with
// CodeTooLarge if the server refuses one for good, whatever the reason, and with CodeUnavailable after the timeout.
func (q *Queue) Put(ctx context.Context, items ...postrider.Item) (*postrider.Commit, error) {
	if len(items) == 0 {
		return postrider.Committed(), nil
	}
	entries := make([]*entry, len(items))
	for i := range items {
		e, err := q.entryOf(&items[i])
		if err != nil {
			return nil, err
		}
		entries[i] = e
	}
	commit, each := gathered(len(entries))
	for i, e := range entries {
		e.done = each
		if err := q.lanes[items[i].Lane].sends.add(ctx, e, q.timeout); err != nil {
			for range entries[i:] {
				each(err)
			}
			return nil, err
		}
	}
	return commit, nil
}

func (q *Queue) entryOf(item *postrider.Item) (*entry, error) {
	if item.Delay < 0 || item.Delay > postrider.MaxDelay {
		return nil, postrider.Errorf(postrider.CodeInvalid, "a delay of %v is outside 0 to %v", item.Delay, postrider.MaxDelay)
	}
	e := &entry{body: encode(item), delay: wholeSeconds(item.Delay), group: tenantOf(item)}
	if len(e.body) > q.limits.MaxBytes {
		return nil, postrider.Errorf(postrider.CodeTooLarge, "an item has %d bytes encoded; the queue takes %d", len(e.body), q.limits.MaxBytes)
	}
	return e, nil
}

// wholeSeconds rounds up: nothing comes before it is due.
func wholeSeconds(d time.Duration) int32 { return int32((d + time.Second - 1) / time.Second) }

// gathered is a Commit of n parts; it fails with the first part that does.
func gathered(n int) (*postrider.Commit, func(error)) {
	commit, complete := postrider.NewCommit()
	var left atomic.Int64
	var fault atomic.Pointer[error]
	left.Store(int64(n))
	return commit, func(err error) {
		if err != nil {
			fault.CompareAndSwap(nil, &err)
		}
		if left.Add(-1) > 0 {
			return
		}
		if f := fault.Load(); f != nil {
			complete(*f)
			return
		}
		complete(nil)
	}
}

// sendBatch sends until every entry is acknowledged, refused, or its time is over.
func (q *Queue) sendBatch(ctx context.Context, l *lane, batch []*entry) bool {
	return q.repeat(ctx, batch, func(ctx context.Context, batch []*entry) ([]types.BatchResultErrorEntry, error) {
		in := &sqs.SendMessageBatchInput{QueueUrl: &l.url, Entries: make([]types.SendMessageBatchRequestEntry, len(batch))}
		size := 0
		for i, e := range batch {
			in.Entries[i] = types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: &e.body, DelaySeconds: e.delay}
			if e.group != "" {
				in.Entries[i].MessageGroupId = &e.group
			}
			size += len(e.body)
		}
		out, err := q.client.SendMessageBatch(ctx, in)
		q.count("send", size, err)
		if err != nil {
			return nil, postrider.Errorf(postrider.CodeUnavailable, "send to %s (sqs:SendMessage): %w", l.name, err)
		}
		return out.Failed, nil
	})
}

// removeBatch removes until every entry is gone, or its time is over. A handle that the server no longer takes is of a
// message that was removed before, or that was received anew: whoever has it will remove it.
func (q *Queue) removeBatch(ctx context.Context, l *lane, batch []*entry) bool {
	return q.repeat(ctx, batch, func(ctx context.Context, batch []*entry) ([]types.BatchResultErrorEntry, error) {
		in := &sqs.DeleteMessageBatchInput{QueueUrl: &l.url, Entries: make([]types.DeleteMessageBatchRequestEntry, len(batch))}
		for i, e := range batch {
			in.Entries[i] = types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &e.handle}
		}
		out, err := q.client.DeleteMessageBatch(ctx, in)
		q.count("delete", 0, err)
		if err != nil {
			return nil, postrider.Errorf(postrider.CodeUnavailable, "remove from %s (sqs:DeleteMessage): %w", l.name, err)
		}
		return q.withoutStale(out.Failed), nil
	})
}

func (q *Queue) withoutStale(failed []types.BatchResultErrorEntry) []types.BatchResultErrorEntry {
	var left []types.BatchResultErrorEntry
	for _, f := range failed {
		if f.SenderFault && !temporary(aws.ToString(f.Code)) {
			q.metrics.stale.Inc()
			continue
		}
		left = append(left, f)
	}
	return left
}
