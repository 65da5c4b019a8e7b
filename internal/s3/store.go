package s3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
)

// Options say where payloads are kept, and for how long.
type Options struct {
	URL        string        // s3://bucket/prefix?region=…&endpoint=…&path-style=…
	Retention  time.Duration // age at which objects may go; 0: they are kept
	Timeout    time.Duration // of one request, retries included; 0: 30 s
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Store is a postrider.PayloadStore.
type Store struct {
	at      location
	client  *s3.Client
	timeout time.Duration
	sweeps  bool // the server has no lifecycle rule that expires our objects
	log     *slog.Logger
	metrics *metrics
}

var _ postrider.PayloadStore = (*Store)(nil)

// Open connects to the bucket, makes it if it is missing and that is permitted, and sees to its lifecycle rule. Errors name
// what is missing, and the permission that is needed.
func Open(ctx context.Context, o Options) (*Store, error) {
	at, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	options := []func(*config.LoadOptions) error{config.WithRetryer(func() aws.Retryer {
		return retry.AddWithMaxAttempts(retry.NewStandard(), 3)
	})}
	if at.region != "" {
		options = append(options, config.WithRegion(at.region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, postrider.Errorf(postrider.CodeUnavailable, "the AWS configuration can't be read: %w", err)
	}
	s := &Store{at: at, timeout: o.Timeout, log: o.Logger, metrics: newMetrics(o.Registerer)}
	if s.timeout == 0 {
		s.timeout = 30 * time.Second
	}
	s.client = s3.NewFromConfig(cfg, func(c *s3.Options) {
		c.UsePathStyle = at.pathStyle
		if at.endpoint != "" {
			c.BaseEndpoint = aws.String(at.endpoint)
		}
	})
	if err := s.ensureBucket(ctx); err != nil {
		return nil, err
	}
	return s, s.ensureLifecycle(ctx, o.Retention)
}

func (s *Store) ensureBucket(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	_, err := s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &s.at.bucket})
	s.metrics.count("head", err)
	if codeOf(err) == "NotFound" || codeOf(err) == "NoSuchBucket" {
		_, err = s.client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &s.at.bucket})
		s.metrics.count("create", err)
		var owned *types.BucketAlreadyOwnedByYou
		if errors.As(err, &owned) {
			err = nil
		}
		if err != nil {
			return postrider.Errorf(postrider.CodeUnavailable, "bucket %s is missing and can't be made (s3:CreateBucket): %w", s.at.bucket, err)
		}
		return nil
	}
	if err != nil {
		return postrider.Errorf(postrider.CodeUnavailable, "bucket %s can't be reached (s3:ListBucket): %w", s.at.bucket, err)
	}
	return nil
}

// Put stores a payload; see postrider.PayloadStore.
func (s *Store) Put(ctx context.Context, key string, payload []byte) error {
	if err := postrider.CheckPayloadKey(key); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.at.bucket, Key: aws.String(s.at.prefix + key), Body: bytes.NewReader(payload),
		ContentLength: aws.Int64(int64(len(payload))), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
	s.metrics.count("put", err)
	if err != nil {
		return postrider.Errorf(postrider.CodeUnavailable, "the payload store did not take a payload: %w", err)
	}
	return nil
}

// Get returns a payload; see postrider.PayloadStore. Its checksum is compared while it is read.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.at.bucket, Key: aws.String(s.at.prefix + key), ChecksumMode: types.ChecksumModeEnabled})
	s.metrics.count("get", err)
	if codeOf(err) == "NoSuchKey" {
		return nil, postrider.Errorf(postrider.CodeNotFound, "there is no payload %s", key)
	}
	if err != nil {
		return nil, postrider.Errorf(postrider.CodeUnavailable, "the payload store did not answer: %w", err)
	}
	defer out.Body.Close()
	buf := bytes.NewBuffer(make([]byte, 0, max(aws.ToInt64(out.ContentLength), 0)+bytes.MinRead))
	if _, err := io.Copy(buf, out.Body); err != nil {
		return nil, postrider.Errorf(postrider.CodeUnavailable, "a payload broke off: %w", err)
	}
	return buf.Bytes(), nil
}

// Close ends the store. Requests under way go on.
func (s *Store) Close() error { return nil }

// codeOf is the error code of the service, or "".
func codeOf(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return strings.TrimSpace(e.ErrorCode())
	}
	return ""
}
