package trace

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/postrider/postrider"
)

const (
	sampled   = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

func delivery(trace string) *postrider.Delivery {
	e := &postrider.Event{ID: "order-7", Tenant: "acme", Type: "a.b", AcceptedAt: time.Unix(1, 0), Position: "1", Trace: trace}
	return &postrider.Delivery{ID: postrider.NewDeliveryID(e, 9), Event: e, TargetID: 9}
}

func destination(t *testing.T) *url.URL {
	t.Helper()
	to, err := url.Parse("https://hooks.example.com/T000/secret-path?token=secret-query")
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// recording makes a tracer whose spans can be looked at.
func recording(ratio float64) (*Tracer, *tracetest.InMemoryExporter) {
	spans := tracetest.NewInMemoryExporter()
	return newTracer(Options{Ratio: ratio}, sdk.WithSyncer(spans)), spans
}

// work is what the roles do with a delivery: two attempts, the first of which fails.
func work(t *testing.T, tr *Tracer, carried string) {
	t.Helper()
	intake := tr.Intake(carried, "acme", 1)
	d := delivery(intake.Trace(carried))
	intake.End()
	match := tr.Match(d.Event)
	d.Event.Trace = match.Trace(d.Event.Trace)
	match.Matched(1)
	match.End()
	at := time.Now()
	first := tr.Attempt(d, destination(t), 10, at)
	first.Scheduled(at.Add(time.Minute))
	first.Attempted(&postrider.Attempt{Number: 1, StartedAt: at, Duration: time.Second, Class: postrider.ClassStatus, Status: 503})
	d.Attempts, d.LastTry = 1, at
	tr.Waited(d, at.Add(time.Minute))
	tr.Attempt(d, destination(t), 10, at.Add(time.Minute)).Attempted(&postrider.Attempt{Number: 2, StartedAt: at.Add(time.Minute), Class: postrider.ClassOK, Status: 200})
}

func TestSpansOfOneDelivery(t *testing.T) {
	t.Parallel()
	tr, exported := recording(0)
	work(t, tr, sampled+" vendor=1")
	spans := exported.GetSpans()
	names := map[string]tracetest.SpanStub{}
	for _, s := range spans {
		if got := s.SpanContext.TraceID().String(); got != sampled[3:35] {
			t.Errorf("%s is of another trace, %s", s.Name, got)
		}
		if s.SpanContext.TraceState().String() != "vendor=1" {
			t.Errorf("%s has the state %q", s.Name, s.SpanContext.TraceState())
		}
		for _, a := range append(s.Attributes, s.Resource.Attributes()...) {
			if strings.Contains(a.Value.String(), "secret") {
				t.Errorf("%s tells a secret: %s = %s", s.Name, a.Key, a.Value.String())
			}
		}
		names[s.Name] = s
	}
	if len(spans) != 5 || len(names) != 4 {
		t.Fatalf("%d spans: %v", len(spans), names)
	}
	if names["postrider intake"].Parent.SpanID().String() != sampled[36:52] {
		t.Error("intake is no child of the producer's span")
	}
	match := names["postrider match"]
	if match.Parent.SpanID() != names["postrider intake"].SpanContext.SpanID() {
		t.Error("match is no child of intake")
	}
	for _, name := range []string{"POST", "postrider retry wait"} {
		if names[name].Parent.SpanID() != match.SpanContext.SpanID() {
			t.Errorf("%s is no child of match", name)
		}
	}
}

func TestSamplingIsTheBeginners(t *testing.T) {
	t.Parallel()
	tr, exported := recording(1)
	if work(t, tr, unsampled); len(exported.GetSpans()) != 0 {
		t.Error("a trace that its beginner does not sample was recorded")
	}
	if work(t, tr, ""); len(exported.GetSpans()) != 5 {
		t.Errorf("%d spans of a trace that begins here", len(exported.GetSpans()))
	}
	none, exported := recording(0)
	if work(t, none, ""); len(exported.GetSpans()) != 0 {
		t.Error("the share is 0, and spans were recorded")
	}
}

// TestOffCostsNothing holds the methods of a nil Tracer to no allocation, and to leaving traces as they are.
func TestOffCostsNothing(t *testing.T) { //nolint:paralleltest // allocations of other tests would be counted
	var tr *Tracer
	d, to := delivery(sampled), destination(t)
	a := &postrider.Attempt{}
	allocations := testing.AllocsPerRun(100, func() {
		intake := tr.Intake(sampled, "acme", 1)
		intake.Failed("internal")
		intake.End()
		match := tr.Match(d.Event)
		d.Event.Trace = match.Trace(d.Event.Trace)
		match.Matched(1)
		match.End()
		s := tr.Attempt(d, to, 10, time.Time{})
		s.Scheduled(time.Time{})
		s.Attempted(a)
		tr.Waited(d, time.Time{})
	})
	if allocations != 0 || d.Event.Trace != sampled {
		t.Errorf("%v allocations, trace %q", allocations, d.Event.Trace)
	}
	if err := tr.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestCollectorGetsSpans sends to a collector that reads what OTLP over HTTP says.
func TestCollectorGetsSpans(t *testing.T) {
	t.Parallel()
	got := make(chan *collector.ExportTraceServiceRequest, 4)
	faults := make(chan error, 4)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		sent := &collector.ExportTraceServiceRequest{}
		if r.URL.Path != "/v1/traces" {
			err = errors.New("path " + r.URL.Path)
		}
		if err := errors.Join(err, proto.Unmarshal(body, sent)); err != nil {
			faults <- err
		}
		got <- sent
	}))
	defer s.Close()
	tr, err := Open(t.Context(), Options{Endpoint: s.URL + "/", Ratio: 1, Roles: "api", Instance: "one", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	work(t, tr, "")
	if err := tr.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(faults)
	for err := range faults {
		t.Error(err)
	}
	spans := 0
	for range len(got) {
		for _, r := range (<-got).ResourceSpans {
			for _, scope := range r.ScopeSpans {
				spans += len(scope.Spans)
			}
		}
	}
	if spans != 5 {
		t.Errorf("%d spans came", spans)
	}
}

func BenchmarkOff(b *testing.B) {
	var tr *Tracer
	d := delivery(sampled)
	to := &url.URL{Scheme: "https", Host: "hooks.example.com"}
	a := &postrider.Attempt{}
	b.ReportAllocs()
	for b.Loop() {
		s := tr.Attempt(d, to, 10, time.Time{})
		s.Attempted(a)
	}
}

func BenchmarkAttempt(b *testing.B) {
	for name, carried := range map[string]string{"sampled": sampled, "unsampled": unsampled} {
		b.Run(name, func(b *testing.B) {
			tr := newTracer(Options{}, sdk.WithBatcher(tracetest.NewNoopExporter()))
			d := delivery(carried)
			to := &url.URL{Scheme: "https", Host: "hooks.example.com"}
			a := &postrider.Attempt{}
			b.ReportAllocs()
			for b.Loop() {
				s := tr.Attempt(d, to, 10, time.Time{})
				s.Attempted(a)
			}
		})
	}
}
