package s3_test

import (
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/payloadstest"
	"github.com/postrider/postrider/internal/s3"
	"github.com/postrider/postrider/internal/stacktest"
)

func TestMain(m *testing.M) {
	if os.Getenv("AWS_ACCESS_KEY_ID") == "" { // the fake checks no signature, but requests need one
		os.Setenv("AWS_ACCESS_KEY_ID", "test")
		os.Setenv("AWS_SECRET_ACCESS_KEY", "testtest")
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"))
}

// endpoint is the S3-compatible server that tests use, or the test is skipped.
func endpoint(t *testing.T) string {
	t.Helper()
	return stacktest.Need(t, "AWS_ENDPOINT_URL_S3", "the URL of an S3-compatible server, beside AWS credentials")
}

func open(t *testing.T, bucket string) *s3.Store {
	t.Helper()
	store, err := s3.Open(t.Context(), s3.Options{URL: "s3://" + bucket + "/payloads?region=us-east-1&endpoint=" + url.QueryEscape(endpoint(t)),
		Retention: 8 * 24 * time.Hour, SweepEvery: time.Nanosecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestStackPayloads(t *testing.T) {
	t.Parallel()
	endpoint(t)
	payloadstest.Run(t, func(t *testing.T) payloadstest.Harness {
		t.Helper()
		bucket := fmt.Sprintf("pr-%d-%s", time.Now().UnixNano(), strings.ToLower(t.Name()[strings.LastIndex(t.Name(), "/")+1:]))
		return payloadstest.Harness{Store: open(t, bucket), Grain: time.Second,
			Reopen: func(t *testing.T) postrider.PayloadStore { t.Helper(); return open(t, bucket) }}
	})
}

func TestURLFaultsAreNamed(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"s3://", "http://x", "s3://bucket?colour=red", "s3://bucket?endpoint=nowhere", "s3://bucket?path-style=maybe", "s3://user@bucket/"} {
		if _, err := s3.Open(t.Context(), s3.Options{URL: bad}); postrider.CodeOf(err) != postrider.CodeInvalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
