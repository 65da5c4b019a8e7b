package sqs

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/postrider/postrider"
)

// Put adds items; see postrider.Queue. The Commit is durable when the server has acknowledged every one.
func (q *Queue) Put(ctx context.Context, items ...postrider.Item) (*postrider.Commit, error) {
	if len(items) == 0 {
		return postrider.Committed(), nil
	}
	entries := make([]*entry, len(items))
	for i := range items {
		item := &items[i]
		if item.Delay < 0 || item.Delay > postrider.MaxDelay {
			return nil, postrider.Errorf(postrider.CodeInvalid, "a delay of %v is outside 0 to %v", item.Delay, postrider.MaxDelay)
		}
		e := &entry{body: encode(item), delay: int32((item.Delay + time.Second - 1) / time.Second), group: tenantOf(item)}
		if len(e.body) > q.limits.MaxBytes {
			return nil, postrider.Errorf(postrider.CodeTooLarge, "an item has %d bytes encoded; the queue takes %d", len(e.body), q.limits.MaxBytes)
		}
		entries[i] = e
	}
	commit, each := gathered(len(entries))
	for i, e := range entries {
		e.done = each
		if err := q.lanes[items[i].Lane].sends.add(ctx, e); err != nil {
			for range entries[i:] {
				each(err)
			}
			return nil, err
		}
	}
	return commit, nil
}

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

// sendBatch sends until every entry is acknowledged, refused, or the timeout is over.
func (q *Queue) sendBatch(ctx context.Context, url string, batch []*entry) {
	q.repeat(ctx, batch, func(ctx context.Context, batch []*entry) (failed map[string]types.BatchResultErrorEntry, err error) {
		in := &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: make([]types.SendMessageBatchRequestEntry, len(batch))}
		size := 0
		for i, e := range batch {
			in.Entries[i] = types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: &e.body, DelaySeconds: e.delay}
			if e.group != "" {
				in.Entries[i].MessageGroupId = &e.group
			}
			size += len(e.body)
		}
		out, err := q.client.SendMessageBatch(ctx, in)
		q.metrics.count("send", size, err)
		if err != nil {
			return nil, err
		}
		return byID(out.Failed), nil
	})
}

// removeBatch removes until every entry is gone, or the timeout is over. A handle that the server no longer takes is of a
// message that was removed before, or that was received anew: whoever has it will remove it.
func (q *Queue) removeBatch(ctx context.Context, url string, batch []*entry) {
	q.repeat(ctx, batch, func(ctx context.Context, batch []*entry) (map[string]types.BatchResultErrorEntry, error) {
		in := &sqs.DeleteMessageBatchInput{QueueUrl: &url, Entries: make([]types.DeleteMessageBatchRequestEntry, len(batch))}
		for i, e := range batch {
			in.Entries[i] = types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &e.handle}
		}
		out, err := q.client.DeleteMessageBatch(ctx, in)
		q.metrics.count("delete", 0, err)
		if err != nil {
			return nil, err
		}
		failed := byID(out.Failed)
		for id, f := range failed {
			if f.SenderFault {
				q.metrics.stale.Inc()
				delete(failed, id)
			}
		}
		return failed, nil
	})
}

func byID(entries []types.BatchResultErrorEntry) map[string]types.BatchResultErrorEntry {
	m := make(map[string]types.BatchResultErrorEntry, len(entries))
	for _, e := range entries {
		m[aws.ToString(e.Id)] = e
	}
	return m
}

// repeat runs a batch, completes what went through, and repeats the rest with back-off until the timeout.
func (q *Queue) repeat(ctx context.Context, batch []*entry, run func(context.Context, []*entry) (map[string]types.BatchResultErrorEntry, error)) {
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	pause := 50 * time.Millisecond
	for {
		failed, err := run(ctx, batch)
		if err == nil {
			batch, err = settleEntries(batch, failed)
		}
		if len(batch) == 0 {
			return
		}
		if !sleep(ctx, pause/2+rand.N(pause/2)) {
			failAll(batch, postrider.Errorf(postrider.CodeUnavailable, "the queue did not take a batch: %w", err))
			return
		}
		q.metrics.resent.Add(float64(len(batch)))
		pause = min(2*pause, 2*time.Second)
	}
}

// settleEntries completes the entries that went through and those that are refused for good, and returns the others.
func settleEntries(batch []*entry, failed map[string]types.BatchResultErrorEntry) (left []*entry, err error) {
	for i, e := range batch {
		f, bad := failed[strconv.Itoa(i)]
		switch {
		case !bad:
			e.done(nil)
		case f.SenderFault:
			e.done(postrider.Errorf(postrider.CodeTooLarge, "the queue refuses a message: %s: %s", aws.ToString(f.Code), aws.ToString(f.Message)))
		default:
			left = append(left, e)
			err = postrider.Errorf(postrider.CodeUnavailable, "%s: %s", aws.ToString(f.Code), aws.ToString(f.Message))
		}
	}
	return left, err
}

func failAll(batch []*entry, err error) {
	for _, e := range batch {
		e.done(err)
	}
}

// sleep waits, or reports false if ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
