package harness

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Spans is a collector of OpenTelemetry traces, by OTLP over HTTP.
type Spans struct {
	*httptest.Server
	mu  sync.Mutex
	all []Span
}

// Span is a span as it came, and what the process that made it says of itself.
type Span struct {
	*tracepb.Span
	Resource []*common.KeyValue
}

// NewSpans starts a collector. It is closed by the test.
func NewSpans(t *testing.T) *Spans {
	t.Helper()
	c := &Spans{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		got := &collector.ExportTraceServiceRequest{}
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, got) != nil {
			t.Errorf("%s with %d bytes is no OTLP (%v)", r.URL.Path, len(body), err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, resource := range got.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				for _, s := range scope.Spans {
					c.all = append(c.all, Span{s, resource.Resource.GetAttributes()})
				}
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// Await waits until a trace has spans of these names, of one given twice two, and returns all of it by name, in the order of
// their beginning.
func (c *Spans) Await(t *testing.T, trace string, names ...string) map[string][]Span {
	t.Helper()
	want := map[string]int{}
	for _, name := range names {
		want[name]++
	}
	var found map[string][]Span
	Await(t, func() string {
		found = c.of(trace)
		for name, n := range want {
			if len(found[name]) < n {
				return fmt.Sprintf("%d of %d spans %q of the trace came", len(found[name]), n, name)
			}
		}
		return ""
	})
	return found
}

func (c *Spans) of(trace string) map[string][]Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := map[string][]Span{}
	for _, s := range c.all {
		if hex.EncodeToString(s.TraceId) == trace {
			found[s.Name] = append(found[s.Name], s)
		}
	}
	for _, list := range found {
		slices.SortFunc(list, func(a, b Span) int { return int(int64(a.StartTimeUnixNano) - int64(b.StartTimeUnixNano)) })
	}
	return found
}

// Hex is the span's own id, and that of its parent.
func (s Span) Hex() (id, parent string) {
	return hex.EncodeToString(s.SpanId), hex.EncodeToString(s.ParentSpanId)
}

// Attribute is an attribute of the span, else of its process, else "".
func (s Span) Attribute(key string) string {
	for _, a := range slices.Concat(s.Attributes, s.Resource) {
		if a.Key != key {
			continue
		}
		if n, ok := a.Value.Value.(*common.AnyValue_IntValue); ok {
			return strconv.FormatInt(n.IntValue, 10)
		}
		return a.Value.GetStringValue()
	}
	return ""
}
