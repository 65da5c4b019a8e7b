package sqs_test

import (
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/queuetest"
	"github.com/postrider/postrider/internal/sqs"
	"github.com/postrider/postrider/internal/stacktest"
)

func TestMain(m *testing.M) {
	if os.Getenv("AWS_ACCESS_KEY_ID") == "" { // the fake checks no signature, but requests need one
		os.Setenv("AWS_ACCESS_KEY_ID", "test")
		os.Setenv("AWS_SECRET_ACCESS_KEY", "testtest")
	}
	if name := os.Getenv(childVariable); name != "" {
		os.Exit(retryManager(name))
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"))
}

// endpoint is the SQS-compatible server that tests use, or the test is skipped.
func endpoint(t *testing.T) string {
	t.Helper()
	return stacktest.Need(t, "AWS_ENDPOINT_URL_SQS", "the URL of an SQS-compatible server, beside AWS credentials")
}

func open(t *testing.T, name string, lease time.Duration) *sqs.Queue {
	t.Helper()
	q, err := sqs.Open(t.Context(), sqs.Options{URL: "sqs://" + name + "?region=us-east-1&endpoint=" + url.QueryEscape(endpoint(t)),
		Lease: lease, Clock: time.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q
}

func TestStackQueue(t *testing.T) {
	t.Parallel()
	endpoint(t)
	queuetest.Run(t, func(t *testing.T, lease time.Duration) queuetest.Harness {
		t.Helper()
		name := fmt.Sprintf("pr-%d", time.Now().UnixNano())
		q := open(t, name, lease)
		return queuetest.Harness{Queue: q, Shortest: time.Second, Reopen: func(t *testing.T) postrider.Queue {
			t.Helper()
			if err := q.Close(); err != nil {
				t.Error(err)
			}
			return open(t, name, lease)
		}}
	})
}

func TestURLFaultsAreNamed(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"sqs://", "http://x", "sqs://name?colour=red", "sqs://name?endpoint=nowhere", "sqs://na.me", "sqs://user@name", "sqs://name/path"} {
		if _, err := sqs.Open(t.Context(), sqs.Options{URL: bad}); postrider.CodeOf(err) != postrider.CodeInvalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
