package sqs

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"

	"github.com/postrider/postrider"
)

const (
	connectTimeout = 10 * time.Second // of one try
	requestTimeout = 10 * time.Second
	longPause      = 5 * time.Second // between tries to connect
	staleAnswer    = time.Minute     // age of the last answer from which Check asks anew
)

// state is what is known of the server.
type state struct {
	ready chan struct{} // closed when the queues were found, and are as they must be

	mu       sync.Mutex
	fault    error // why the last request got no answer, or the queues cannot be used; nil: all is well
	answered time.Time
}

func (s *state) init() { s.ready = make(chan struct{}) }

// saw takes note of what became of a request.
func (s *state) saw(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	if err != nil && answered(err) && !denied(err) {
		err = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault = err; err == nil {
		s.answered = time.Now()
	}
}

// count counts a request, and takes note of whether the server is there.
func (q *Queue) count(operation string, size int, err error) {
	q.metrics.count(operation, size, err)
	q.state.saw(err)
}

func (s *state) connected() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
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

// errAway is the answer while the queues have not been found.
func (q *Queue) errAway() error {
	q.state.mu.Lock()
	defer q.state.mu.Unlock()
	if q.state.fault != nil {
		return postrider.Errorf(postrider.CodeUnavailable, "the queue %s is not connected: %w", q.at.name, q.state.fault)
	}
	return postrider.Errorf(postrider.CodeUnavailable, "the queue %s is not connected", q.at.name)
}

// Check reports what is missing for the queue to work: nil, or an error that says it. It asks the server only if no request
// was answered for a minute. It is safe for concurrent use.
func (q *Queue) Check(ctx context.Context) error {
	if !q.state.connected() {
		return q.errAway()
	}
	q.state.mu.Lock()
	fault, old := q.state.fault, time.Since(q.state.answered) > staleAnswer
	q.state.mu.Unlock()
	if fault == nil && !old {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	_, err := q.client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String(q.at.name)})
	q.count("get_url", 0, err)
	if err != nil {
		return postrider.Errorf(postrider.CodeUnavailable, "the queue %s does not answer: %w", q.at.name, err)
	}
	return nil
}

// connect finds the queues. If the server does not answer, that is gone on with in the background.
func (q *Queue) connect(ctx context.Context) error {
	err := q.ensureAll(ctx)
	if err == nil {
		q.limits.MaxBytes = q.size()
		close(q.state.ready)
		return nil
	}
	if ctx.Err() != nil || postrider.CodeOf(err) == postrider.CodeInvalid || answered(err) {
		return err
	}
	q.log.Warn("the queue does not answer; connecting goes on until it does", "queue", q.at.name, "error", err)
	q.work.Go(func() { q.connectLater() }) // it outlasts the opening, and ends with Close
	return nil
}

func (q *Queue) connectLater() {
	pause := 100 * time.Millisecond
	for sleep(q.ctx, pause) {
		err := q.ensureAll(q.ctx)
		if err == nil {
			q.log.Info("the queue is connected", "queue", q.at.name)
			close(q.state.ready)
			return
		}
		if pause < longPause {
			pause = min(2*pause, longPause)
			continue
		}
		q.log.Debug("the queue is not connected yet", "queue", q.at.name, "error", err)
	}
}

// ensureAll sees to the queue of each lane. Faults of all queues are told together.
func (q *Queue) ensureAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	var faults postrider.Faults
	for _, l := range q.lanes {
		if err := q.ensure(ctx, l, &faults); err != nil {
			q.state.saw(err)
			return err
		}
	}
	err := faults.Err()
	if err != nil {
		q.state.mu.Lock()
		q.state.fault = err
		q.state.mu.Unlock()
	}
	return err
}
