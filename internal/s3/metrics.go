package s3

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	smithy "github.com/aws/smithy-go/middleware"
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests *prometheus.CounterVec
	damaged  prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "postrider_s3_requests_total",
			Help: "Requests to the payload store, repeated ones included, by operation and result."}, []string{"operation", "result"}),
		damaged: prometheus.NewCounter(prometheus.CounterOpts{Name: "postrider_s3_damaged_total",
			Help: "Payloads read whose checksum was not the one that they were put with."}),
	}
	if r != nil {
		r.MustRegister(m.requests, m.damaged)
	}
	return m
}

// operations are the names of what is requested, in metrics.
var operations = map[string]string{"PutObject": "put", "GetObject": "get", "HeadBucket": "head", "CreateBucket": "create", "ListObjectsV2": "list",
	"DeleteObjects": "delete", "GetBucketLifecycleConfiguration": "get_lifecycle", "PutBucketLifecycleConfiguration": "put_lifecycle"}

// count counts a request. An answer that says that a thing is not there is an answer.
func (m *metrics) count(operation string, err error) {
	result := "ok"
	if err != nil {
		result = "error"
		switch codeOf(err) {
		case "NoSuchKey", "NotFound", "NoSuchBucket", "NoSuchLifecycleConfiguration":
			result = "missing"
		}
	}
	if name := operations[operation]; name != "" {
		operation = name
	}
	m.requests.WithLabelValues(operation, result).Inc()
}

// countEach has each request counted, also those that the SDK repeats.
func (s *Store) countEach(stack *smithy.Stack) error {
	return stack.Deserialize.Add(smithy.DeserializeMiddlewareFunc("postrider.count", func(ctx context.Context, in smithy.DeserializeInput,
		next smithy.DeserializeHandler) (smithy.DeserializeOutput, smithy.Metadata, error) {
		out, metadata, err := next.HandleDeserialize(ctx, in)
		s.metrics.count(middleware.GetOperationName(ctx), err)
		fault := err
		if answered(err) && !denied(err) {
			fault = nil
		}
		s.health.Saw(fault)
		return out, metadata, err
	}), smithy.Before)
}
