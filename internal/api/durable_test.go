package api_test

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/api"
)

// heldLog is an events log whose commits the test completes.
type heldLog struct {
	postrider.EventLog
	appended chan func(error)
}

func (l *heldLog) Append(context.Context, []*postrider.Event) (*postrider.Commit, error) {
	commit, complete := postrider.NewCommit()
	l.appended <- complete
	return commit, nil
}

// No 202 leaves before the event is durable, and none at all if it does not become so.
func TestAcceptedMeansDurable(t *testing.T) {
	t.Parallel()
	log := &heldLog{appended: make(chan func(error))}
	s := newServer(t, func(o *api.Options) {
		log.EventLog = o.Events
		o.Events = log
	})
	for _, tt := range []struct {
		path, body string
		fault      error
		want       int
	}{
		{"/webhooks/events?type=a", "x", nil, 202},
		{"/webhooks/events/batch", `[{"eventType": "a", "payload": "x"}]`, nil, 202},
		{"/webhooks/events?type=a", "x", postrider.Errorf(postrider.CodeUnavailable, "the disk is full"), 503},
		{"/webhooks/events/batch", `[{"eventType": "a", "payload": "x"}]`, postrider.Errorf(postrider.CodeUnavailable, "the disk is full"), 503},
	} {
		answers := make(chan answer, 1)
		go func() { answers <- s.do(t, adminKey, "POST", tt.path, tt.body) }()
		complete := <-log.appended
		select {
		case a := <-answers:
			t.Fatalf("%s: %d before the commit", tt.path, a.status)
		default:
		}
		complete(tt.fault)
		a := <-answers
		if a.status != tt.want {
			t.Errorf("%s: %d %s, want %d", tt.path, a.status, a.body, tt.want)
		}
		if a.status == 503 && a.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", tt.path)
		}
	}
	if held := s.budget.Held(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
}

// refused is how many requests ended since the log did not take their events.
func refused(t *testing.T, from *prometheus.Registry) (n float64) {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "postrider_events_refused_total" && m.GetLabel()[0].GetValue() == "log" {
				n = m.GetCounter().GetValue()
			}
		}
	}
	return n
}

// What the log still holds of a request that was given up counts until the log has done with it.
func TestBudgetOfWhatWasGivenUp(t *testing.T) {
	t.Parallel()
	log := &heldLog{appended: make(chan func(error))}
	registry := prometheus.NewRegistry()
	s := newServer(t, func(o *api.Options) {
		log.EventLog = o.Events
		o.Events, o.Registerer = log, registry
	})
	var completes []func(error)
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/webhooks/events?type=a", strings.NewReader("1234567890"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+adminKey)
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			if response, err := s.http.Do(r); err == nil {
				response.Body.Close()
				t.Errorf("status %d before the commit", response.StatusCode)
			}
		}()
		completes = append(completes, <-log.appended)
		cancel()
		<-gone
	}
	for refused(t, registry) < 2 { // until the server has heard that they are gone: the test's deadline bounds it
		runtime.Gosched()
	}
	<-time.After(10 * time.Millisecond) // were they released, it would be now
	if held := s.budget.Held(); held != 20 {
		t.Errorf("%d bytes are held while the log holds 20", held)
	}
	for _, complete := range completes {
		complete(nil)
	}
	for s.budget.Held() != 0 { // the test's deadline bounds it
		runtime.Gosched()
	}
}
