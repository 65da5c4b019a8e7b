package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/api"
	"github.com/postrider/postrider/internal/budget"
	"github.com/postrider/postrider/internal/egress"
	"github.com/postrider/postrider/internal/match"
	"github.com/postrider/postrider/internal/seal"
	"github.com/postrider/postrider/internal/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const adminKey = "admin-key-of-the-tests"

// server is an API over HTTP on the SQLite engines.
type server struct {
	url    string
	base   string // of all paths
	db     *sqlite.DB
	cache  *match.Cache
	budget *budget.Budget
	http   *http.Client
}

func newServer(t *testing.T, set ...func(*api.Options)) *server {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Instance: "test"})
	if err != nil {
		t.Fatal(err)
	}
	box, err := seal.New(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	guard, err := egress.New(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")}})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{db: db, cache: match.New(match.Options{Feed: db.Database()}), budget: budget.New(8 << 20)}
	o := api.Options{Database: db.Database(), Events: db.Events(), Queue: db.Queue(), Outcomes: db.Outcomes(true), Payloads: db.Payloads(), Cache: s.cache, Box: box,
		Guard: guard, Budget: s.budget, AdminKey: adminKey, MaxPayload: 1 << 20, Version: "1.2.3"}
	for _, f := range set {
		f(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.cache.Run(ctx) }()
	<-s.cache.Ready()
	h := httptest.NewServer(api.New(o).Handler())
	s.url, s.base, s.http = h.URL, strings.TrimRight(o.BasePath, "/"), h.Client()
	t.Cleanup(func() {
		h.Close()
		cancel()
		<-ended
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(a.body, &m); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return m
}

func (a answer) id(t *testing.T) string {
	t.Helper()
	var v struct {
		ID json.Number `json:"id"`
	}
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return v.ID.String()
}

// fields are the faulty fields that a problem document names.
func (a answer) fields(t *testing.T) string {
	t.Helper()
	var p struct {
		Errors []struct{ Field, Message string }
	}
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	var names []string
	for _, e := range p.Errors {
		if e.Message == "" {
			t.Errorf("field %s has no message", e.Field)
		}
		names = append(names, e.Field)
	}
	return strings.Join(names, " ")
}

// do calls with a key and headers, given as "Name: value".
func (s *server) do(t *testing.T, key, method, path, body string, headers ...string) answer {
	t.Helper()
	return s.send(t, key, method, path, strings.NewReader(body), headers...)
}

func (s *server) send(t *testing.T, key, method, path string, body io.Reader, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	response, err := s.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	s.conforms(t, method, path, response.StatusCode)
	return answer{response.StatusCode, response.Header, raw}
}

// want calls with the admin key and checks the status.
func (s *server) want(t *testing.T, status int, method, path, body string, headers ...string) answer {
	t.Helper()
	return s.wantAs(t, adminKey, status, method, path, body, headers...)
}

func (s *server) wantAs(t *testing.T, key string, status int, method, path, body string, headers ...string) answer {
	t.Helper()
	a := s.do(t, key, method, path, body, headers...)
	if a.status != status {
		t.Fatalf("%s %s: %d %s, want %d", method, path, a.status, a.body, status)
	}
	if status >= 400 && a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %s: content type %s", method, path, a.header.Get("Content-Type"))
	}
	return a
}

// key makes a tenant's key.
func (s *server) key(t *testing.T, tenant string) string {
	t.Helper()
	return s.want(t, 201, "POST", "/tenants/"+tenant+"/keys", "").json(t)["key"].(string)
}

const publicURL = `{"url": "https://example.com/hooks"}`

// entities makes a target, a filter and a subscription of a key's tenant.
func (s *server) entities(t *testing.T, key string) (target, filter, subscription string) {
	t.Helper()
	target = s.wantAs(t, key, 201, "POST", "/webhooks/targets", publicURL).id(t)
	filter = s.wantAs(t, key, 201, "POST", "/webhooks/filters", `{"events": ["core.*"]}`).id(t)
	subscription = s.wantAs(t, key, 201, "POST", "/webhooks/subscriptions", `{"targetId": `+target+`, "filterId": `+filter+`}`).id(t)
	return target, filter, subscription
}

// delivered records a delivery of an event, as a dispatcher would.
func (s *server) delivered(t *testing.T, tenant, eventID string, target int64, state postrider.State) postrider.DeliveryID {
	t.Helper()
	finder := s.db.Events().(postrider.EventFinder)
	e, err := finder.Find(t.Context(), tenant, eventID)
	if err != nil {
		t.Fatal(err)
	}
	id := postrider.NewDeliveryID(e, target)
	commit, err := s.db.Outcomes(true).Record(t.Context(), []postrider.Outcome{
		{Kind: postrider.OutcomeFanOut, At: e.AcceptedAt, Tenant: tenant, Event: e.Head(), Targets: []int64{target}},
		{Kind: postrider.OutcomeAttempt, At: e.AcceptedAt, Tenant: tenant, Event: e.Head(), DeliveryID: id, TargetID: target, Attempts: 1, State: state,
			Attempt: &postrider.Attempt{Number: 1, StartedAt: e.AcceptedAt, Class: postrider.ClassStatus, Status: 500, Head: []byte("no\xff")}},
	})
	if err == nil {
		err = commit.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return id
}
