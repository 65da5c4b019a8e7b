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
	defaultMaxBytes = 256 << 10
	largestMaxBytes = 1 << 20
)

// ensure finds a lane's queue or makes it, and reads what it takes. Wrong attributes are added to faults; the error says
// that there was no answer, or a denial, whose permission it names.
func (q *Queue) ensure(ctx context.Context, l *lane, faults *postrider.Faults) error {
	out, err := q.client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &l.name})
	q.count("get_url", 0, err)
	var missing *types.QueueDoesNotExist
	switch {
	case errors.As(err, &missing):
		if err := q.create(ctx, l); err != nil {
			return err
		}
	case err != nil:
		return postrider.Errorf(openCode(err), "queue %s can't be found (sqs:GetQueueUrl): %w", l.name, err)
	default:
		l.url = aws.ToString(out.QueueUrl)
	}
	return q.checkAttributes(ctx, l, faults)
}

func (q *Queue) create(ctx context.Context, l *lane) error {
	out, err := q.client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &l.name, Attributes: map[string]string{
		"MessageRetentionPeriod":        seconds(retention),
		"ReceiveMessageWaitTimeSeconds": "20",
	}})
	q.count("create", 0, err)
	if err != nil {
		return postrider.Errorf(openCode(err), "queue %s is missing and can't be made (sqs:CreateQueue): %w", l.name, err)
	}
	q.log.Info("queue made", "queue", l.name)
	l.url = aws.ToString(out.QueueUrl)
	return nil
}

// checkAttributes takes over a queue's size limit, and finds fault with attributes by which messages would be lost or held up.
// One that the server does not show is not judged.
func (q *Queue) checkAttributes(ctx context.Context, l *lane, faults *postrider.Faults) error {
	out, err := q.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &l.url, AttributeNames: []types.QueueAttributeName{"All"}})
	q.count("get_attributes", 0, err)
	if err != nil {
		return postrider.Errorf(openCode(err), "queue %s does not show its attributes (sqs:GetQueueAttributes): %w", l.name, err)
	}
	judge(out.Attributes, l.name, faults)
	if n, ok := number(out.Attributes, "MaximumMessageSize"); ok {
		l.maxBytes = n
	}
	return nil
}

const setIt = "set it (sqs:SetQueueAttributes)"

func judge(attributes map[string]string, name string, faults *postrider.Faults) {
	if n, ok := number(attributes, "MessageRetentionPeriod"); ok && time.Duration(n)*time.Second < retention {
		faults.Addf("queue", "queue %s has MessageRetentionPeriod %d; it must be %s, or messages are lost while nobody takes them: %s", name, n, seconds(retention), setIt)
	}
	if n, ok := number(attributes, "DelaySeconds"); ok && n != 0 {
		faults.Addf("queue", "queue %s has DelaySeconds %d; it must be 0, since each message has its own: %s", name, n, setIt)
	}
	if attributes["RedrivePolicy"] != "" {
		faults.Addf("queue", "queue %s has a RedrivePolicy; there must be none, or messages rest unread in a dead-letter queue: remove it (sqs:SetQueueAttributes)", name)
	}
	if attributes["FifoQueue"] == "true" {
		faults.Addf("queue", "queue %s has FifoQueue true; a standard queue is needed", name)
	}
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
