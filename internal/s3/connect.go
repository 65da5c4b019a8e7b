package s3

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/postrider/postrider"
)

const connectTimeout = 10 * time.Second

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

// openCode is the code of an error that the bucket could not be opened for: only one that says that the server is away may be
// gone by itself.
func openCode(err error) postrider.Code {
	switch {
	case !answered(err), codeOf(err) == "OperationAborted", codeOf(err) == "NoSuchBucket":
		return postrider.CodeUnavailable
	case denied(err):
		return postrider.CodeForbidden
	}
	return postrider.CodeInvalid
}

var _ postrider.Checker = (*Store)(nil)

// Check reports whether the store answers; see postrider.Checker. It asks only if the last request got no answer, or a denial,
// or was answered over a minute ago.
func (s *Store) Check(ctx context.Context) error {
	return s.health.Check(ctx, func(ctx context.Context) error {
		if _, err := s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &s.at.bucket}); err != nil {
			return postrider.Errorf(postrider.CodeUnavailable, "the bucket %s does not answer: %w", s.at.bucket, err)
		}
		return nil
	})
}

// ensure sees to the bucket and its lifecycle rule.
func (s *Store) ensure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := s.ensureBucket(ctx); err != nil {
		return err
	}
	return s.ensureLifecycle(ctx)
}

func (s *Store) ensureBucket(ctx context.Context) error {
	_, err := s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &s.at.bucket})
	switch codeOf(err) {
	case "NotFound", "NoSuchBucket":
	default:
		if err != nil {
			return postrider.Errorf(openCode(err), "bucket %s can't be reached (s3:ListBucket): %w", s.at.bucket, err)
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
		return postrider.Errorf(openCode(err), "bucket %s is missing and can't be made (s3:CreateBucket): %w", s.at.bucket, err)
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
