// Package trace makes spans of what the roles do with an event, and sends them to an OpenTelemetry collector by OTLP over
// HTTP. An event carries its trace from role to role and from process to process: Event.Trace is the context of the span that
// handled it last, up to the attempts.
//
// A nil *Tracer is one that is off: its methods do nothing, allocate nothing, and leave traces as they are.
//
// Spans tell ids, sizes, types and outcomes. They never tell the path or query of a target's URL, which may hold a secret, nor
// headers, payloads or what a receiver answered.
package trace

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// Bounds of what waits to be sent. Beyond them spans are dropped: tracing never holds delivery up.
const (
	maxWaiting  = 8192
	sendEvery   = 2 * time.Second
	sendTimeout = 5 * time.Second
)

// Options of a Tracer.
type Options struct {
	Endpoint string  // base URL of the collector, to which /v1/traces is added
	Ratio    float64 // share of the traces that begin here which are recorded; one that began elsewhere is as its beginner says
	Version  string  // of the program
	Instance string  // of the process
	Roles    string  // of the process
	Logger   *slog.Logger
}

// Tracer makes spans. It is safe for concurrent use; nil is off.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   oteltrace.Tracer
}

// Open makes a Tracer. It does not wait for the collector: one that is away costs spans, and a warning in the log. Headers
// for the collector, such as a key, are read from OTEL_EXPORTER_OTLP_HEADERS.
func Open(ctx context.Context, o Options) (*Tracer, error) {
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(strings.TrimRight(o.Endpoint, "/")+"/v1/traces"),
		otlptracehttp.WithTimeout(sendTimeout), otlptracehttp.WithProxy(func(*http.Request) (*url.URL, error) { return nil, nil }))
	if err != nil {
		return nil, fmt.Errorf("opening the exporter of traces: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		o.Logger.Warn("traces are not sent", "error", err)
	}))
	return newTracer(o, sdk.WithBatcher(exporter, sdk.WithMaxQueueSize(maxWaiting), sdk.WithBatchTimeout(sendEvery),
		sdk.WithExportTimeout(sendTimeout))), nil
}

func newTracer(o Options, destination sdk.TracerProviderOption) *Tracer {
	provider := sdk.NewTracerProvider(destination, sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(o.Ratio))),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "postrider"), attribute.String("service.version", o.Version),
			attribute.String("service.instance.id", o.Instance), attribute.String("postrider.roles", o.Roles))))
	return &Tracer{provider: provider, tracer: provider.Tracer("github.com/postrider/postrider")}
}

// Close sends what waits, until ctx ends.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("sending the last traces: %w", err)
	}
	return nil
}
