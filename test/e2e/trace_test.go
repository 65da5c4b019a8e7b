package e2e

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/test/flows"
	"github.com/postrider/postrider/test/harness"
)

const (
	traceID     = "0af7651916cd43dd8448eb211c80319c"
	traceparent = "00-" + traceID + "-b7ad6b7169203331-01"
)

// TestOneTraceFromIntakeToAttempt follows an event whose first attempt fails through all roles of one process.
func TestOneTraceFromIntakeToAttempt(t *testing.T) {
	t.Parallel()
	c := harness.NewSpans(t)
	s := harness.StartWith(t, harness.Settings{Data: t.TempDir(), Args: flows.Fast, Env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.URL}})
	r := harness.NewReceiver(t, harness.Statuses(500))
	target := s.Target(t, r.URL+"/hook?token=hidden")
	s.Subscribe(t, target.ID, []string{"*"})
	s.Publish(t, "a.b", payload(1, 100), "traceparent: "+traceparent, "tracestate: vendor=1", "Postrider-Event-Id: traced")
	messages := r.AwaitCount(t, 2)
	if got := messages[0].Header.Get("Traceparent"); got != "" {
		t.Errorf("the target, which is outside, was told the trace %q", got)
	}
	s.StopCleanly(t)
	found := c.Await(t, traceID, "postrider intake", "postrider match", "POST", "postrider retry wait")
	intake, match, attempt := found["postrider intake"][0], found["postrider match"][0], found["POST"][0]
	if _, got := intake.Hex(); got != traceparent[36:52] {
		t.Errorf("intake is a child of %s", got)
	}
	if !slices.Equal(attempt.ParentSpanId, match.SpanId) {
		t.Error("the attempt is no child of match")
	}
	for key, want := range map[string]string{"postrider.event_id": "traced", "postrider.tenant": "default", "http.request.method": "POST", "server.address": "127.0.0.1"} {
		if got := attempt.Attribute(key); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
	for name, list := range found {
		for _, span := range list {
			if text := span.String(); strings.Contains(text, "hidden") || strings.Contains(text, "/hook") {
				t.Errorf("%s tells the target's URL: %s", name, text)
			}
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
	c := harness.NewSpans(t)
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
	s.StopCleanly(t)
	found := c.Await(t, traceID, "postrider match", "POST")
	if _, got := found["postrider match"][0].Hex(); got != traceparent[36:52] {
		t.Errorf("match is a child of %s, not of the producer's span", got)
	}
	found = c.Await(t, other, "postrider intake", "postrider match", "POST")
	if !slices.Equal(found["postrider match"][0].ParentSpanId, found["postrider intake"][0].SpanId) {
		t.Error("match is no child of intake, which was handed on in the record's headers")
	}
}
