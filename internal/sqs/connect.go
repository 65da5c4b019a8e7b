package sqs

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"

	"github.com/postrider/postrider"
)

const (
	connectTimeout = 10 * time.Second
	requestTimeout = 10 * time.Second
	longPause      = 5 * time.Second // between tries to connect
)

// count counts a request, and takes note of whether the server is there.
func (q *Queue) count(operation string, size int, err error) {
	q.metrics.count(operation, size, err)
	if answered(err) && !denied(err) {
		err = nil
	}
	q.health.Saw(err)
}

// answered reports whether an error is the server's answer, and not its absence or weakness.
func answered(err error) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	switch code := codeOf(err); code {
	case "RequestThrottled", "ThrottlingException", "Throttling", "OverLimit", "ServiceUnavailable", "InternalFailure", "InternalError", "RequestExpired":
		return false
	}
	return api.ErrorFault() != smithy.FaultServer
}

// denied reports whether an answer says that we may not, or that the queue is not there any more: no request will do better.
func denied(err error) bool {
	code := codeOf(err)
	return strings.Contains(code, "AccessDenied") || slices.Contains([]string{"InvalidClientTokenId", "UnrecognizedClientException",
		"SignatureDoesNotMatch", "ExpiredToken", "InvalidSecurity", "QueueDoesNotExist", "NonExistentQueue"}, code)
}

// openCode is the code of an error that a queue could not be opened for: only one that says that the server is away may be gone
// by itself.
func openCode(err error) postrider.Code {
	switch {
	case !answered(err), codeOf(err) == "QueueDeletedRecently", codeOf(err) == "QueueDoesNotExist": // made, and not there everywhere yet
		return postrider.CodeUnavailable
	case denied(err):
		return postrider.CodeForbidden
	}
	return postrider.CodeInvalid
}

var _ postrider.Checker = (*Queue)(nil)

// Check reports whether the queue answers; see postrider.Checker. It asks only if the last request got no answer, or a denial, or
// was answered over a minute ago.
func (q *Queue) Check(ctx context.Context) error {
	return q.health.Check(ctx, func(ctx context.Context) error {
		_, err := q.client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String(q.at.name)})
		q.count("get_url", 0, err)
		if err != nil {
			return postrider.Errorf(postrider.CodeUnavailable, "the queue %s does not answer: %w", q.at.name, err)
		}
		return nil
	})
}

// ensureAll sees to the queue of each lane. Faults of all queues are told together.
func (q *Queue) ensureAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	var faults postrider.Faults
	for _, l := range q.lanes {
		if err := q.ensure(ctx, l, &faults); err != nil {
			return err
		}
	}
	return faults.Err()
}
