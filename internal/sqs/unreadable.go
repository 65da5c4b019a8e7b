package sqs

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/postrider/postrider"
)

const (
	firstHiding = time.Minute
	longHiding  = 12 * time.Hour // the longest that SQS hides a message
	sentAnew    = retention / 2  // age at which a message is sent anew, since SQS would drop it
	shownBytes  = 64             // of its body, in the log
)

// unreadable keeps a message that can't be read: one of a later version, for the process that can, or one that is damaged or
// foreign, for an operator. It comes again ever more seldom, and is sent anew before it would be dropped for its age.
func (q *Queue) unreadable(lane postrider.Lane, l *lane, m *types.Message, receives int, sent time.Time, cause error) {
	q.metrics.unreadable.WithLabelValues(lane.String()).Inc()
	body := aws.ToString(m.Body)
	q.log.Error("a message can't be read; it stays in the queue, and comes again ever more seldom", "queue", l.name, "message_id", aws.ToString(m.MessageId),
		"receives", receives, "body_bytes", len(body), "body_head", body[:min(len(body), shownBytes)], "error", cause)
	if !sent.IsZero() && q.clock().Sub(sent) > sentAnew {
		q.sendAnew(l, m, body)
		return
	}
	delay := min(firstHiding<<min(receives-1, 10), longHiding)
	if err := q.hide(q.ctx, l, aws.ToString(m.ReceiptHandle), delay); err != nil {
		q.log.Debug("an unreadable message was not hidden; it comes again when its lease ends", "queue", l.name, "error", err)
	}
}

// sendAnew replaces a message by one with the same body. If that fails it comes again.
func (q *Queue) sendAnew(l *lane, m *types.Message, body string) {
	sent, done := postrider.NewCommit()
	e := &entry{body: body, group: m.Attributes["MessageGroupId"], delay: wholeSeconds(postrider.MaxDelay), done: done}
	if err := l.sends.add(q.ctx, e, q.timeout); err != nil {
		return
	}
	if sent.Wait(q.ctx) == nil {
		_ = l.removes.add(q.ctx, &entry{handle: aws.ToString(m.ReceiptHandle), done: func(error) {}}, q.timeout) // if not removed, it comes again
	}
}
