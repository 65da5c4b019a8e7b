package sqs_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/consume"
	"github.com/postrider/postrider/internal/dispatch"
	"github.com/postrider/postrider/internal/match"
	"github.com/postrider/postrider/internal/retry"
	"github.com/postrider/postrider/internal/sqs"
)

// pipeline is the real roles on a real queue: consumer, dispatcher and retry manager. What is around it is in memory: a log of
// events that gives batches as a broker does, targets that answer at once, outcomes that are counted.
type pipeline struct {
	postrider.EventLog
	postrider.PayloadStore
	queue    *sqs.Queue
	registry *prometheus.Registry
	changes  []postrider.Change
	batches  chan *postrider.EventBatch
	answer   func(target int64, attempt string) int

	mu    sync.Mutex
	got   map[postrider.DeliveryID]int // attempts that succeeded
	ended chan struct{}
	want  int
}

func newPipeline(t *testing.T, name string) *pipeline {
	t.Helper()
	p := &pipeline{registry: prometheus.NewRegistry(), batches: make(chan *postrider.EventBatch, 1000),
		got: make(map[postrider.DeliveryID]int), ended: make(chan struct{}), answer: func(int64, string) int { return http.StatusOK }}
	var err error
	p.queue, err = sqs.Open(t.Context(), sqs.Options{URL: "sqs://" + name + "?region=us-east-1&endpoint=" + url.QueryEscape(endpoint(t)),
		Lease: time.Minute, Clock: time.Now, Logger: slog.New(slog.DiscardHandler), Registerer: p.registry})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.queue.Close() })
	return p
}

func (p *pipeline) Limits() postrider.EventLimits                            { return postrider.EventLimits{MaxBytes: 1 << 20} }
func (p *pipeline) Reader(context.Context) (postrider.EventReader, error)    { return reader{p}, nil }
func (p *pipeline) Put(context.Context, string, []byte) error                { return nil }
func (p *pipeline) Expire(context.Context, time.Time) (int, error)           { return 0, nil }
func (p *pipeline) Close() error                                             { return nil }
func (p *pipeline) Watch(context.Context) <-chan struct{}                    { return nil }
func (p *pipeline) Version(context.Context) (uint64, error)                  { return uint64(len(p.changes)), nil }
func (p *pipeline) PutHolds(context.Context, string, []postrider.Hold) error { return nil }

func (p *pipeline) Changes(context.Context, uint64, int) ([]postrider.Change, error) { return nil, nil }

func (p *pipeline) TurnOff(context.Context, string, int64, string, *postrider.Event) (bool, error) {
	return false, nil
}

func (p *pipeline) Load(_ context.Context, yield func(*postrider.Change) error) (uint64, error) {
	for i := range p.changes {
		if err := yield(&p.changes[i]); err != nil {
			return 0, err
		}
	}
	return uint64(len(p.changes)), nil
}

type reader struct{ p *pipeline }

func (r reader) Next(ctx context.Context) (*postrider.EventBatch, error) {
	select {
	case b := <-r.p.batches:
		return b, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
func (r reader) Commit(*postrider.EventBatch) {}
func (r reader) Close() error                 { return nil }

// log counts what was delivered.
type log struct {
	postrider.OutcomeLog
	p *pipeline
}

func (l log) Record(_ context.Context, outcomes []postrider.Outcome) (*postrider.Commit, error) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	for i := range outcomes {
		if outcomes[i].State == postrider.StateDelivered {
			l.p.got[outcomes[i].DeliveryID]++
			if len(l.p.got) == l.p.want && l.p.got[outcomes[i].DeliveryID] == 1 {
				close(l.p.ended)
			}
		}
	}
	return postrider.Committed(), nil
}

// RoundTrip answers for the targets.
func (p *pipeline) RoundTrip(r *http.Request) (*http.Response, error) {
	_, _ = io.Copy(io.Discard, r.Body)
	var id int64
	_, _ = fmt.Sscanf(r.URL.Path, "/%d", &id)
	return &http.Response{StatusCode: p.answer(id, r.Header.Get("Postrider-Attempt")), Header: http.Header{}, Body: http.NoBody}, nil
}

// subscribe makes a target of a tenant that gets everything.
func (p *pipeline) subscribe(tenant string, id int64) {
	for _, c := range []postrider.Change{
		{Kind: postrider.KindTarget, Target: &postrider.Target{ID: id, Tenant: tenant, URL: fmt.Sprintf("http://target.test/%d", id),
			State: postrider.TargetOn, MaxInFlight: 512, Secrets: []postrider.Secret{{Sealed: []byte(strings.Repeat("s", 32))}}}},
		{Kind: postrider.KindFilter, Filter: &postrider.Filter{ID: id, Tenant: tenant, Events: []string{"*"}}},
		{Kind: postrider.KindSubscription, Subscription: &postrider.Subscription{ID: id, Tenant: tenant, TargetID: id, FilterID: id, Active: true}},
	} {
		c.ID, c.Tenant, c.Version = id, tenant, uint64(len(p.changes)+1)
		p.changes = append(p.changes, c)
	}
}

// run starts the roles; what it returns stops them.
func (p *pipeline) run(t *testing.T, policy postrider.RetryPolicy) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cache := match.New(match.Options{Feed: p})
	d := dispatch.New(dispatch.Options{Queue: p.queue, Payloads: p, Events: p, Outcomes: log{p: p}, Database: p, Cache: cache, Retry: policy,
		Transport: func(bool) http.RoundTripper { return p }, Open: func(sealed []byte, _ string) ([]byte, error) { return sealed, nil }})
	c := consume.New(consume.Options{Events: p, Queue: p.queue, Payloads: p, Outcomes: log{p: p}, Cache: cache})
	m := retry.New(retry.Options{Queue: p.queue})
	var roles sync.WaitGroup
	for name, run := range map[string]func(context.Context) error{"cache": cache.Run, "dispatcher": d.Run, "consumer": c.Run, "retry": m.Run} {
		roles.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	return func() {
		cancel()
		roles.Wait()
	}
}

// publish gives events of 1 KB to the consumer, in batches of 500. Tenants come by turns.
func (p *pipeline) publish(n, tenants int) {
	body := []byte(strings.Repeat("x", 1000))
	at := time.Now().UTC().Truncate(time.Millisecond)
	for first := 0; first < n; first += 500 {
		b := &postrider.EventBatch{Partition: "0"}
		for i := first; i < min(first+500, n); i++ {
			b.Events = append(b.Events, &postrider.Event{ID: fmt.Sprint("evt_", i), Tenant: tenantName(i % tenants), Type: "core.orders.created.v1", AcceptedAt: at,
				Position: postrider.Position(fmt.Sprint("0-", i)), Payload: postrider.Payload{Size: int64(len(body)), Bytes: body}})
		}
		b.End = b.Events[len(b.Events)-1].Position
		p.batches <- b
	}
}

func tenantName(n int) string { return fmt.Sprint("tenant-", n) }

// requests counts requests to SQS that a delivery causes, by operation.
func (p *pipeline) requests(t *testing.T) (each map[string]int, sum int) {
	t.Helper()
	families, err := p.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	each = make(map[string]int)
	for _, f := range families {
		if f.GetName() != "postrider_sqs_requests_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if name := l.GetValue(); l.GetName() == "operation" && (name == "send" || name == "receive" || name == "delete" || name == "change_visibility") {
					each[name] += int(m.GetCounter().GetValue())
					sum += int(m.GetCounter().GetValue())
				}
			}
		}
	}
	return each, sum
}

// TestStackRequests counts the requests to SQS that 1,000 deliveries of 1 KB cost, all roles together.
func TestStackRequests(t *testing.T) {
	t.Parallel()
	endpoint(t)
	for name, c := range map[string]struct {
		events, tenants, targets int
		most                     int // 0: stated only
	}{
		"OneTenant":   {10_000, 1, 1, 60},
		"FanOut":      {200, 1, 100, 10},
		"ManyTenants": {4_000, 1000, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPipeline(t, fmt.Sprintf("pr-%d", time.Now().UnixNano()))
			for i := range c.tenants {
				for j := range c.targets {
					p.subscribe(tenantName(i), int64(1+i*c.targets+j))
				}
			}
			p.want = c.events * c.targets
			_, before := p.requests(t)
			begin := time.Now()
			p.publish(c.events, c.tenants)
			stop := p.run(t, postrider.RetryPolicy{})
			select {
			case <-p.ended:
			case <-time.After(3 * time.Minute):
				t.Errorf("%d of %d were delivered", len(p.got), p.want)
			}
			took := time.Since(begin)
			stop()
			each, sum := p.requests(t)
			per := float64(sum-before) * 1000 / float64(p.want)
			t.Logf("%s: %d deliveries in %v, %v; %.1f requests per 1,000 deliveries", name, p.want, took.Round(time.Millisecond), each, per)
			if c.most > 0 && per > float64(c.most) {
				t.Errorf("%.1f requests per 1,000 deliveries, at most %d are to be", per, c.most)
			}
		})
	}
}
