package trace

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/postrider/postrider"
)

// Span is something that is being done. The zero value is none.
type Span struct {
	span oteltrace.Span // nil: none
}

// Trace is what an event is to carry from here on: this span's context, or, where there is no span, what it carried.
func (s Span) Trace(carried string) string {
	if s.span == nil {
		return carried
	}
	var h header
	propagation.TraceContext{}.Inject(oteltrace.ContextWithSpan(context.Background(), s.span), &h)
	return postrider.TraceContext(h.parent, h.state)
}

// Failed says that what was done failed, and with what kind of fault. It does not end the span.
func (s Span) Failed(kind string) {
	if s.span == nil {
		return
	}
	s.span.SetAttributes(attribute.String("error.type", kind))
	s.span.SetStatus(codes.Error, "")
}

// End ends the span.
func (s Span) End() {
	if s.span != nil {
		s.span.End()
	}
}

// recorded reports whether attributes are worth making.
func (s Span) recorded() bool { return s.span != nil && s.span.IsRecording() }

// Intake begins the span of a request that publishes n events of a tenant. trace is what the request carried.
func (t *Tracer) Intake(trace, tenant string, n int) Span {
	if t == nil {
		return Span{}
	}
	s := t.start(trace, "postrider intake", oteltrace.SpanKindServer)
	if s.recorded() {
		s.span.SetAttributes(attribute.String("postrider.tenant", tenant), attribute.Int("messaging.batch.message_count", n))
	}
	return s
}

// Match begins the span of an event that is matched and queued.
func (t *Tracer) Match(e *postrider.Event) Span {
	if t == nil {
		return Span{}
	}
	s := t.start(e.Trace, "postrider match", oteltrace.SpanKindConsumer)
	if s.recorded() {
		s.span.SetAttributes(append(eventAttributes(e), attribute.String("postrider.position", string(e.Position)))...)
	}
	return s
}

// Matched says to how many targets an event goes.
func (s Span) Matched(targets int) {
	if s.recorded() {
		s.span.SetAttributes(attribute.Int("postrider.targets", targets))
	}
}

// Attempt begins the span of an attempt of a delivery at a URL, of which the path and the query are not told.
func (t *Tracer) Attempt(d *postrider.Delivery, to *url.URL, size int, at time.Time) Span {
	if t == nil {
		return Span{}
	}
	s := t.start(d.Event.Trace, "POST", oteltrace.SpanKindClient, oteltrace.WithTimestamp(at))
	if !s.recorded() {
		return s
	}
	s.span.SetAttributes(append(deliveryAttributes(d), attribute.Int("postrider.attempt", d.Attempts+1),
		attribute.String("http.request.method", http.MethodPost), attribute.Int("http.request.body.size", size),
		attribute.String("url.scheme", to.Scheme), attribute.String("server.address", to.Hostname()), attribute.Int("server.port", port(to)))...)
	if d.Attempts > 0 {
		s.span.SetAttributes(attribute.Int("http.request.resend_count", d.Attempts))
	}
	return s
}

// Attempted ends the span of an attempt, at the time when that ended.
func (s Span) Attempted(a *postrider.Attempt) {
	if s.span == nil {
		return
	}
	if a.Status > 0 {
		s.span.SetAttributes(attribute.Int("http.response.status_code", a.Status))
	}
	if !a.Succeeded() {
		kind := string(a.Class)
		if a.Class == postrider.ClassStatus || a.Class == postrider.ClassRedirect {
			kind = strconv.Itoa(a.Status)
		}
		s.Failed(kind)
	}
	s.span.End(oteltrace.WithTimestamp(a.StartedAt.Add(a.Duration)))
}

// Scheduled tells, in the span of an attempt, when the next one of its delivery is due.
func (s Span) Scheduled(due time.Time) {
	if s.recorded() {
		s.span.AddEvent("postrider retry scheduled", oteltrace.WithAttributes(attribute.String("postrider.due", due.UTC().Format(time.RFC3339Nano))))
	}
}

// Waited makes the span of the time that a delivery waited for another attempt, until now.
func (t *Tracer) Waited(d *postrider.Delivery, now time.Time) {
	if t == nil || d.LastTry.IsZero() {
		return
	}
	s := t.start(d.Event.Trace, "postrider retry wait", oteltrace.SpanKindInternal, oteltrace.WithTimestamp(d.LastTry))
	if s.recorded() {
		s.span.SetAttributes(append(deliveryAttributes(d), attribute.Int("postrider.attempt", d.Attempts+1))...)
	}
	s.span.End(oteltrace.WithTimestamp(now))
}

func (t *Tracer) start(trace, name string, kind oteltrace.SpanKind, more ...oteltrace.SpanStartOption) Span {
	ctx := context.Background()
	if trace != "" {
		var h header
		h.parent, h.state = postrider.SplitTrace(trace)
		ctx = propagation.TraceContext{}.Extract(ctx, &h)
	}
	_, span := t.tracer.Start(ctx, name, append(more, oteltrace.WithSpanKind(kind))...)
	return Span{span: span}
}

func eventAttributes(e *postrider.Event) []attribute.KeyValue {
	return append(make([]attribute.KeyValue, 0, 16), attribute.String("postrider.event_id", e.ID), attribute.String("postrider.tenant", e.Tenant),
		attribute.String("postrider.event_type", e.Type), attribute.Int64("messaging.message.body.size", e.Payload.Size))
}

func deliveryAttributes(d *postrider.Delivery) []attribute.KeyValue {
	return append(eventAttributes(d.Event), attribute.String("postrider.delivery_id", d.ID.String()), attribute.Int64("postrider.target_id", d.TargetID))
}

// port is the port of a URL, given or not.
func port(u *url.URL) int {
	if n, err := strconv.Atoi(u.Port()); err == nil {
		return n
	}
	if u.Scheme == "https" {
		return 443
	}
	return 80
}

// header carries the two headers of a trace.
type header struct{ parent, state string }

// Get returns a header.
func (h *header) Get(key string) string {
	if key == "traceparent" {
		return h.parent
	}
	return h.state
}

// Set sets a header.
func (h *header) Set(key, value string) {
	if key == "traceparent" {
		h.parent = value
	} else {
		h.state = value
	}
}

// Keys lists the headers.
func (h *header) Keys() []string { return []string{"traceparent", "tracestate"} }
