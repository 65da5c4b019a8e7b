package e2e

import (
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/postrider/postrider/test/flows"
	"github.com/postrider/postrider/test/harness"
)

const (
	traceID     = "0af7651916cd43dd8448eb211c80319c"
	traceparent = "00-" + traceID + "-b7ad6b7169203331-01"
)

// spans is a collector of OpenTelemetry traces.
type spans struct {
	*httptest.Server
	mu  sync.Mutex
	all []*tracepb.Span
}

func newSpans(t *testing.T) *spans {
	t.Helper()
	c := &spans{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		got := &collector.ExportTraceServiceRequest{}
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, got) != nil {
			t.Errorf("%s with %d bytes is no OTLP (%v)", r.URL.Path, len(body), err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, resource := range got.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				c.all = append(c.all, scope.Spans...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// await waits until a trace has spans of these names, and returns them by name.
func (c *spans) await(t *testing.T, trace string, names ...string) map[string]*tracepb.Span {
	t.Helper()
	found := map[string]*tracepb.Span{}
	harness.Await(t, func() string {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, s := range c.all {
			if hex(s.TraceId) == trace {
				found[s.Name] = s
			}
		}
		for _, name := range names {
			if found[name] == nil {
				return "no span " + name + " of the trace came"
			}
		}
		return ""
	})
	return found
}

func hex(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}

func attributeOf(s *tracepb.Span, key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.String()
		}
	}
	return ""
}

// TestOneTraceFromIntakeToAttempt follows an event whose first attempt fails through all roles of one process.
func TestOneTraceFromIntakeToAttempt(t *testing.T) {
	t.Parallel()
	c := newSpans(t)
	s := harness.StartWith(t, harness.Settings{Data: t.TempDir(), Args: flows.Fast, Env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.URL}})
	r := harness.NewReceiver(t, harness.Statuses(500))
	target := s.Target(t, r.URL+"/hook?token=hidden")
	s.Subscribe(t, target.ID, []string{"*"})
	s.Publish(t, "a.b", payload(1, 100), "traceparent: "+traceparent, "tracestate: vendor=1", "Postrider-Event-Id: traced")
	messages := r.AwaitCount(t, 2)
	if got := messages[0].Header.Get("Traceparent"); got != "" {
		t.Errorf("the target, which is outside, was told the trace %q", got)
	}
	if status := s.Stop(t); status != 0 {
		t.Errorf("exit status %d", status)
	}
	found := c.await(t, traceID, "postrider intake", "postrider match", "POST", "postrider retry wait")
	if got := hex(found["postrider intake"].ParentSpanId); got != traceparent[36:52] {
		t.Errorf("intake is a child of %s", got)
	}
	if !slices.Equal(found["POST"].ParentSpanId, found["postrider match"].SpanId) {
		t.Error("the attempt is no child of match")
	}
	for key, want := range map[string]string{"postrider.event_id": "traced", "postrider.tenant": "default", "http.request.method": "POST", "server.address": "127.0.0.1"} {
		if got := attributeOf(found["POST"], key); !strings.Contains(got, want) {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
	for name, span := range found {
		if text := span.String(); strings.Contains(text, "hidden") || strings.Contains(text, "/hook") {
			t.Errorf("%s tells the target's URL: %s", name, text)
		}
	}
}

// avro is a WebhookEvent in Avro, without a frame.
func avro(eventType, payload string) []byte {
	b := append(binary.AppendVarint(nil, int64(len(eventType))), eventType...)
	return append(binary.AppendVarint(b, int64(len(payload))), payload...)
}

// TestTraceOfRecordHeaders publishes on Kafka, with a trace of the producer's in the record's headers, and by the API, whose
// trace goes through such headers too. Targets are told the trace, since the operator wants it.
func TestTraceOfRecordHeaders(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	c := newSpans(t)
	s := harness.Start(t, t.TempDir(), append(slices.Clone(flows.Fast), "--otlp-endpoint", c.URL, "--trace-targets", "true",
		"--events", "kafka://"+cluster.ListenAddrs()[0]+"/events?group=traced")...)
	r := harness.NewReceiver(t, nil)
	target := s.Target(t, r.URL)
	s.Subscribe(t, target.ID, []string{"*"})
	producer, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	record := &kgo.Record{Topic: "events", Value: avro("a.b", "{}"), Headers: []kgo.RecordHeader{{Key: "traceparent", Value: []byte(traceparent)}}}
	if err := producer.ProduceSync(t.Context(), record).FirstErr(); err != nil {
		t.Fatal(err)
	}
	const other = "11111111111111111111111111111111"
	s.Publish(t, "a.b", []byte("{}"), "traceparent: 00-"+other+"-b7ad6b7169203331-01")
	for _, m := range r.AwaitCount(t, 2) {
		if got := m.Header.Get("Traceparent"); !strings.Contains(got, traceID) && !strings.Contains(got, other) {
			t.Errorf("the message carries the trace %q", got)
		}
	}
	if status := s.Stop(t); status != 0 {
		t.Errorf("exit status %d", status)
	}
	found := c.await(t, traceID, "postrider match", "POST")
	if got := hex(found["postrider match"].ParentSpanId); got != traceparent[36:52] {
		t.Errorf("match is a child of %s, not of the producer's span", got)
	}
	found = c.await(t, other, "postrider intake", "postrider match", "POST")
	if !slices.Equal(found["postrider match"].ParentSpanId, found["postrider intake"].SpanId) {
		t.Error("match is no child of intake, which was handed on in the record's headers")
	}
}
