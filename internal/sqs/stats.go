package sqs

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/postrider/postrider"
)

const statsAge = 5 * time.Second

// statsCache keeps a lane's counts for some seconds, since each look is a request.
type statsCache struct {
	mu   sync.Mutex
	last postrider.LaneStats
	at   time.Time

	due atomic.Int64 // since when the last message received had been due, in milliseconds since 1970: SQS tells no age
}

func (c *statsCache) sawDue(at time.Time) {
	if !at.IsZero() {
		c.due.Store(at.UnixMilli())
	}
}

// Stats counts what is in the lanes, up to 5 s ago; see postrider.Queue. The oldest age is that of the message received
// last, while the lane is not empty.
func (q *Queue) Stats(ctx context.Context) ([postrider.Lanes]postrider.LaneStats, error) {
	var all [postrider.Lanes]postrider.LaneStats
	for i, l := range q.lanes {
		s, err := q.laneStats(ctx, l)
		if err != nil {
			return all, err
		}
		all[i] = s
	}
	return all, nil
}

func (q *Queue) laneStats(ctx context.Context, l *lane) (postrider.LaneStats, error) {
	c := &l.stats
	c.mu.Lock()
	defer c.mu.Unlock()
	now := q.clock()
	if age := now.Sub(c.at); age >= 0 && age < statsAge {
		return c.last, nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	out, err := q.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &l.url, AttributeNames: []types.QueueAttributeName{
		"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"}})
	q.count("get_attributes", 0, err)
	if err != nil {
		return postrider.LaneStats{}, postrider.Errorf(postrider.CodeUnavailable, "the queue does not tell its counts (sqs:GetQueueAttributes): %w", err)
	}
	visible, _ := number(out.Attributes, "ApproximateNumberOfMessages")
	leased, _ := number(out.Attributes, "ApproximateNumberOfMessagesNotVisible")
	delayed, _ := number(out.Attributes, "ApproximateNumberOfMessagesDelayed")
	c.last = postrider.LaneStats{Items: int64(visible + leased), Delayed: int64(delayed)}
	if due := c.due.Load(); c.last.Items > 0 && due != 0 {
		c.last.Oldest = max(now.Sub(time.UnixMilli(due)), 0)
	}
	c.at = now
	return c.last, nil
}
