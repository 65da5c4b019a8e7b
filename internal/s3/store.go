package s3

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/awsapi"
)

// Options say where payloads are kept, and for how long.
type Options struct {
	URL        string        // s3://bucket/prefix?region=…&endpoint=…&path-style=…
	Retention  time.Duration // age at which objects may go; 0: they are kept
	Timeout    time.Duration // of one request, retries included; 0: 30 s
	SweepEvery time.Duration // where Expire has to list all objects: the least time from one sweep to the next; 0: 1 hour
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Store is a postrider.PayloadStore.
type Store struct {
	at         location
	client     *s3.Client
	retention  time.Duration
	timeout    time.Duration
	sweepEvery time.Duration
	log        *slog.Logger
	metrics    *metrics
	health     awsapi.Health

	sweeps atomic.Bool // no lifecycle rule expires our objects
	mu     sync.Mutex
	swept  time.Time
}

var _ postrider.PayloadStore = (*Store)(nil)

// Open connects to the bucket, makes it if it is missing and that is permitted, and sees to its lifecycle rule. Errors name
// what is missing, and the permission that is needed (CodeInvalid, CodeForbidden). CodeUnavailable says that the server does not
// answer: opening it again may do better.
func Open(ctx context.Context, o Options) (*Store, error) {
	at, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	s := &Store{at: at, retention: o.Retention, timeout: o.Timeout, sweepEvery: o.SweepEvery, log: o.Logger, metrics: newMetrics(o.Registerer)}
	if s.timeout == 0 {
		s.timeout = 30 * time.Second
	}
	if s.sweepEvery == 0 {
		s.sweepEvery = time.Hour
	}
	if err := s.makeClient(ctx); err != nil {
		return nil, err
	}
	if err := s.ensure(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Store) makeClient(ctx context.Context) error {
	cfg, err := awsapi.Config(ctx, awsapi.Options{Region: s.at.region, Retryer: func() aws.Retryer { return retry.AddWithMaxAttempts(retry.NewStandard(), 3) }})
	if err != nil {
		return err
	}
	s.client = s3.NewFromConfig(cfg, func(c *s3.Options) {
		c.UsePathStyle = s.at.pathStyle
		c.APIOptions = append(c.APIOptions, s.countEach)
		c.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired // ours is compared
		c.DisableLogOutputChecksumValidationSkipped = true
		if s.at.endpoint != "" {
			c.BaseEndpoint = aws.String(s.at.endpoint)
		}
	})
	return nil
}

// checksumKey is the name of the metadata that holds the payload's CRC32C, in base64. It is compared when the payload is read,
// so that damage shows whatever happened between the two ends.
const checksumKey = "crc32c"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(payload []byte) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.Checksum(payload, castagnoli)))
}

// Put stores a payload; see postrider.PayloadStore. The server checks what it receives against a CRC32.
func (s *Store) Put(ctx context.Context, key string, payload []byte) error {
	if err := postrider.CheckPayloadKey(key); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.at.bucket, Key: aws.String(s.at.prefix + key), Body: bytes.NewReader(payload),
		ContentLength: aws.Int64(int64(len(payload))), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32,
		Metadata: map[string]string{checksumKey: checksum(payload)}})
	if code := codeOf(err); code == "EntityTooLarge" || code == "InvalidArgument" || code == "KeyTooLongError" {
		return postrider.Errorf(postrider.CodeTooLarge, "the payload store refuses a payload: %w", err)
	}
	if err != nil {
		return postrider.Errorf(postrider.CodeUnavailable, "the payload store did not take a payload (s3:PutObject): %w", err)
	}
	return nil
}

// Get returns a payload; see postrider.PayloadStore.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.at.bucket, Key: aws.String(s.at.prefix + key)})
	if codeOf(err) == "NoSuchKey" {
		return nil, postrider.Errorf(postrider.CodeNotFound, "there is no payload %s", key)
	}
	if err != nil {
		return nil, postrider.Errorf(postrider.CodeUnavailable, "the payload store did not answer (s3:GetObject): %w", err)
	}
	defer out.Body.Close()
	buf := bytes.NewBuffer(make([]byte, 0, max(aws.ToInt64(out.ContentLength), 0)+bytes.MinRead))
	if _, err := io.Copy(buf, out.Body); err != nil {
		return nil, postrider.Errorf(postrider.CodeUnavailable, "a payload broke off: %w", err)
	}
	if put := out.Metadata[checksumKey]; put != "" && put != checksum(buf.Bytes()) {
		s.metrics.damaged.Inc()
		return nil, postrider.Errorf(postrider.CodeMalformed, "the payload %s is damaged: its checksum is not the one that it was put with", key)
	}
	return buf.Bytes(), nil
}

// Close ends the store. Requests under way go on.
func (s *Store) Close() error { return nil }
