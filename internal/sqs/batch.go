package sqs

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"github.com/postrider/postrider"
)

// request runs a batch once and returns the entries that failed, by their place.
type request func(ctx context.Context, batch []*entry) ([]types.BatchResultErrorEntry, error)

// repeat runs a batch, completes what went through or is refused for good, and repeats the rest with back-off until ctx ends; it
// reports whether all of it was answered. A batch that is refused as a whole goes on in halves, so that one entry never holds up
// others.
func (q *Queue) repeat(ctx context.Context, batch []*entry, run request) bool {
	pause := 50 * time.Millisecond
	for {
		failed, err := q.once(ctx, batch, run)
		switch {
		case err == nil:
			batch, err = settleEntries(batch, failed)
		case refusal(codeOf(err)) && len(batch) > 1:
			half := len(batch) / 2
			one, two := q.repeat(ctx, batch[:half], run), q.repeat(ctx, batch[half:], run)
			return one && two
		case refusal(codeOf(err)):
			batch[0].done(postrider.Errorf(postrider.CodeTooLarge, "the queue refuses a message: %w", err))
			return true
		}
		if len(batch) == 0 {
			return true
		}
		if !sleep(ctx, pause/2+rand.N(pause/2)) {
			failAll(batch, err)
			return false
		}
		q.metrics.resent.Add(float64(len(batch)))
		pause = min(2*pause, 2*time.Second)
	}
}

func (q *Queue) once(ctx context.Context, batch []*entry, run request) ([]types.BatchResultErrorEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return run(ctx, batch)
}

// settleEntries completes the entries that went through and those that are refused for good, and returns the others.
func settleEntries(batch []*entry, failed []types.BatchResultErrorEntry) (left []*entry, err error) {
	for i, e := range batch {
		at := slices.IndexFunc(failed, func(f types.BatchResultErrorEntry) bool { return aws.ToString(f.Id) == strconv.Itoa(i) })
		if at < 0 {
			e.done(nil)
			continue
		}
		code, message := aws.ToString(failed[at].Code), aws.ToString(failed[at].Message)
		if failed[at].SenderFault && !temporary(code) {
			e.done(postrider.Errorf(postrider.CodeTooLarge, "the queue refuses a message: %s: %s", code, message))
			continue
		}
		left = append(left, e)
		err = postrider.Errorf(postrider.CodeUnavailable, "%s: %s", code, message)
	}
	return left, err
}

func failAll(batch []*entry, err error) {
	for _, e := range batch {
		e.done(postrider.Errorf(postrider.CodeUnavailable, "the queue did not take a batch: %w", err))
	}
}

// refusal reports whether a code means that a request will never be taken as it is.
func refusal(code string) bool {
	switch code {
	case "BatchRequestTooLong", "InvalidMessageContents", "InvalidParameterValue", "InvalidAttributeValue", "InvalidParameterCombination",
		"MessageTooLong", "UnsupportedOperation", "EmptyBatchRequest", "InvalidBatchEntryId", "ValidationError", "RequestEntityTooLarge":
		return true
	}
	return false
}

// temporary reports whether an entry's code, though it is called the sender's fault, says nothing against the entry: what it
// complains of is the key, the policy or the rate, and an operator or time will mend it.
func temporary(code string) bool {
	code = plain(code)
	return strings.HasPrefix(code, "Kms") || strings.HasPrefix(code, "KMS") || strings.Contains(code, "AccessDenied") || strings.Contains(code, "Throttl") ||
		slices.Contains([]string{"OverLimit", "QueueDoesNotExist", "NonExistentQueue", "InvalidSecurity", "InternalError", "ServiceUnavailable"}, code)
}

// codeOf is the error code of the service, without what stands before it, or "".
func codeOf(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return plain(e.ErrorCode())
	}
	return ""
}

func plain(code string) string {
	return code[strings.LastIndexAny(code, ".#")+1:]
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
