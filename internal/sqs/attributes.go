package sqs

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/postrider/postrider"
)

const (
	retention       = 14 * 24 * time.Hour // the longest that SQS keeps a message
	minRetention    = 24 * time.Hour
	defaultMaxBytes = 256 << 10
	largestMaxBytes = 1 << 20
)

// ensure finds a lane's queue or makes it, and reads what it takes.
func (q *Queue) ensure(ctx context.Context, name string, l *lane) error {
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	out, err := q.client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name})
	q.metrics.count("get_url", 0, err)
	var missing *types.QueueDoesNotExist
	if errors.As(err, &missing) {
		return q.create(ctx, name, l)
	}
	if err != nil {
		return postrider.Errorf(postrider.CodeUnavailable, "queue %s can't be found (sqs:GetQueueUrl): %w", name, err)
	}
	l.url = aws.ToString(out.QueueUrl)
	return q.checkAttributes(ctx, name, l)
}

func (q *Queue) create(ctx context.Context, name string, l *lane) error {
	out, err := q.client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: map[string]string{
		"MessageRetentionPeriod":        seconds(retention),
		"VisibilityTimeout":             seconds(q.limits.Lease),
		"ReceiveMessageWaitTimeSeconds": "20",
	}})
	q.metrics.count("create", 0, err)
	if err != nil {
		return postrider.Errorf(postrider.CodeUnavailable, "queue %s is missing and can't be made (sqs:CreateQueue): %w", name, err)
	}
	l.url = aws.ToString(out.QueueUrl)
	return q.checkAttributes(ctx, name, l)
}

// checkAttributes refuses a queue that would lose messages, and takes over its size limit. An attribute that the server does
// not show is not judged.
func (q *Queue) checkAttributes(ctx context.Context, name string, l *lane) error {
	out, err := q.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &l.url, AttributeNames: []types.QueueAttributeName{"All"}})
	q.metrics.count("get_attributes", 0, err)
	if err != nil {
		return postrider.Errorf(postrider.CodeUnavailable, "queue %s does not show its attributes (sqs:GetQueueAttributes): %w", name, err)
	}
	if n, ok := number(out.Attributes, "MessageRetentionPeriod"); ok && time.Duration(n)*time.Second < minRetention {
		return postrider.Errorf(postrider.CodeInvalid, "queue %s has MessageRetentionPeriod %d; it must be at least %s, best %s (sqs:SetQueueAttributes)",
			name, n, seconds(minRetention), seconds(retention))
	}
	if out.Attributes["FifoQueue"] == "true" {
		return postrider.Errorf(postrider.CodeInvalid, "queue %s has FifoQueue true; a standard queue is needed", name)
	}
	if n, ok := number(out.Attributes, "MaximumMessageSize"); ok {
		l.maxBytes = n
	}
	return nil
}

// size is the least that the lanes' queues take, as far as they tell.
func (q *Queue) size() int {
	least := 0
	for _, l := range q.lanes {
		if l.maxBytes > 0 && (least == 0 || l.maxBytes < least) {
			least = l.maxBytes
		}
	}
	if least == 0 {
		return defaultMaxBytes
	}
	return min(least, largestMaxBytes)
}

func number(attributes map[string]string, name string) (int, bool) {
	n, err := strconv.Atoi(attributes[name])
	return n, err == nil
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
