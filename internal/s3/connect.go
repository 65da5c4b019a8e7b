package s3

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/postrider/postrider"
)

const (
	connectTimeout = 10 * time.Second // of one try
	longPause      = 5 * time.Second  // between tries to connect
	staleAnswer    = time.Minute      // age of the last answer from which Check asks anew
)

// state is what is known of the server.
type state struct {
	mu        sync.Mutex
	connected bool
	fault     error // why the last request got no answer, or a denial; nil: all is well
	answered  time.Time
}

func (s *state) saw(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	if answered(err) && !denied(err) {
		err = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault = err; err == nil {
		s.answered = time.Now()
	}
}

func (s *state) connect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connected = true
}

// answered reports whether an error is the server's answer, and not its absence or weakness.
func answered(err error) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	switch codeOf(err) {
	case "SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "RequestTimeTooSkewed":
		return false
	}
	return true
}

func denied(err error) bool {
	switch codeOf(err) {
	case "AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "NoSuchBucket":
		return true
	}
	return false
}

// Check reports what is missing for the store to work: nil, or an error that says it. It asks the server only if no request
// was answered for a minute. It is safe for concurrent use.
func (s *Store) Check(ctx context.Context) error {
	s.state.mu.Lock()
	connected, fault, old := s.state.connected, s.state.fault, time.Since(s.state.answered) > staleAnswer
	s.state.mu.Unlock()
	if !connected {
		return postrider.Errorf(postrider.CodeUnavailable, "the bucket %s is not connected: %w", s.at.bucket, fault)
	}
	if fault == nil && !old {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if _, err := s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &s.at.bucket}); err != nil {
		return postrider.Errorf(postrider.CodeUnavailable, "the bucket %s does not answer: %w", s.at.bucket, err)
	}
	return nil
}

// connect finds the bucket. If the server does not answer, that is gone on with in the background.
func (s *Store) connect(ctx context.Context) error {
	err := s.ensure(ctx)
	if err == nil || ctx.Err() != nil || postrider.CodeOf(err) == postrider.CodeInvalid || answered(err) {
		return err
	}
	s.log.Warn("the payload store does not answer; connecting goes on until it does", "bucket", s.at.bucket, "error", err)
	s.work.Go(func() {
		pause := 100 * time.Millisecond
		for sleep(s.ctx, pause) {
			if err = s.ensure(s.ctx); err == nil {
				s.log.Info("the payload store is connected", "bucket", s.at.bucket)
				return
			}
			pause = min(2*pause, longPause)
		}
	})
	return nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// ensure sees to the bucket and its lifecycle rule.
func (s *Store) ensure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	err := s.ensureBucket(ctx)
	if err == nil {
		err = s.ensureLifecycle(ctx)
	}
	if err != nil {
		s.state.mu.Lock()
		s.state.fault = err
		s.state.mu.Unlock()
		return err
	}
	s.state.connect()
	return nil
}

func (s *Store) ensureBucket(ctx context.Context) error {
	_, err := s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &s.at.bucket})
	switch codeOf(err) {
	case "NotFound", "NoSuchBucket":
	default:
		if err != nil {
			return postrider.Errorf(postrider.CodeUnavailable, "bucket %s can't be reached (s3:ListBucket): %w", s.at.bucket, err)
		}
		return nil
	}
	in := &s3.CreateBucketInput{Bucket: &s.at.bucket}
	if s.at.region != "" && s.at.region != "us-east-1" { // which is the one that S3 wants not to be named
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(s.at.region)}
	}
	_, err = s.client.CreateBucket(ctx, in)
	var owned *types.BucketAlreadyOwnedByYou
	if err != nil && !errors.As(err, &owned) {
		return postrider.Errorf(postrider.CodeUnavailable, "bucket %s is missing and can't be made (s3:CreateBucket): %w", s.at.bucket, err)
	}
	return nil
}

// codeOf is the error code of the service, or "".
func codeOf(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return strings.TrimSpace(e.ErrorCode())
	}
	return ""
}
