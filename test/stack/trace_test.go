package stack

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/test/flows"
	"github.com/postrider/postrider/test/harness"
)

// beginner is the span of whoever publishes.
const beginner = "b7ad6b7169203331"

// TestTraces follows events whose first attempt fails, published by the API and on Kafka, each in a trace of its own, through
// five processes: by record headers, by messages of SQS that carry several of them, and to the target.
func TestTraces(t *testing.T) {
	t.Parallel()
	c := harness.NewSpans(t)
	f := newFleet(t, append(slices.Clone(flows.Fast), "--otlp-endpoint", c.URL, "--trace-targets", "true")...)
	f.startAll(t)
	r := harness.NewReceiver(t, func(m *harness.Message, _ http.ResponseWriter) int {
		if m.Attempt == 1 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	target := f.api().Target(t, r.URL)
	f.api().Subscribe(t, target.ID, []string{"*"})

	const each = 12 // more than a message of SQS takes
	app := application(t, f.at.kafka, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	traces := map[string]string{} // by event
	var records []*kgo.Record
	for n := range each {
		id, trace := fmt.Sprintf("kafka-%d", n), fmt.Sprintf("%032x", 0xb000+n)
		traces[id] = trace
		records = append(records, record(f.name, bare("a.b", []byte(id)), "postrider-event-id", id, "traceparent", "00-"+trace+"-"+beginner+"-01"))
	}
	if err := app.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for n := range each {
		id, trace := fmt.Sprintf("api-%d", n), fmt.Sprintf("%032x", 0xa000+n)
		traces[id] = trace
		f.api().Publish(t, "a.b", []byte(id), "Postrider-Event-Id: "+id, "traceparent: 00-"+trace+"-"+beginner+"-01")
	}
	told := map[string][2]string{} // by event: what its two attempts told the target
	for _, m := range r.AwaitCount(t, 2*len(traces)) {
		of := told[m.ID]
		of[min(m.Attempt, 2)-1] = m.Header.Get("Traceparent")
		told[m.ID] = of
	}
	for id, trace := range traces {
		f.api().AwaitState(t, id, target.ID, "delivered")
		checkTrace(t, c, id, trace, told[id])
	}
}

// checkTrace holds the spans of an event against each other, the processes that they come from, and what the target was told.
func checkTrace(t *testing.T, c *harness.Spans, id, trace string, told [2]string) {
	t.Helper()
	const intake, match, attempt, wait = "postrider intake", "postrider match", "POST", "postrider retry wait"
	names := []string{match, attempt, attempt, wait}
	byAPI := strings.HasPrefix(id, "api")
	if byAPI {
		names = append(names, intake)
	}
	found := c.Await(t, trace, names...)
	parent := beginner
	child := func(s harness.Span, role, of string) (own string) {
		own, got := s.Hex()
		if roles := s.Attribute("postrider.roles"); got != of || roles != role {
			t.Errorf("%s: %q is a child of %s, by the role %s; want %s, %s", id, s.Name, got, roles, of, role)
		}
		if event := s.Attribute("postrider.event_id"); event != id && s.Name != intake {
			t.Errorf("%s: %q tells the event %s", id, s.Name, event)
		}
		return own
	}
	if byAPI {
		parent = child(found[intake][0], "api", parent)
	}
	parent = child(found[match][0], "consumer", parent)
	child(found[wait][0], "dispatcher", parent)
	for n, s := range found[attempt] {
		own := child(s, "dispatcher", parent)
		if want := "00-" + trace + "-" + own + "-01"; s.Attribute("postrider.attempt") != fmt.Sprint(n+1) || told[n] != want {
			t.Errorf("%s: attempt %s is the span %s, the target was told %s", id, s.Attribute("postrider.attempt"), want, told[n])
		}
	}
}
