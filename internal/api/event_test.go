package api_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/api"
	"github.com/postrider/postrider/internal/budget"
)

func TestPublish(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	body := "\x00\xff any bytes \r\n"
	id := s.want(t, 202, "POST", "/webhooks/events", body, "Postrider-Event-Type: core.a", "Content-Type: application/x-thing").json(t)["id"].(string)
	if !strings.HasPrefix(id, "evt_") || strings.Contains(id, ".") {
		t.Errorf("id %s", id)
	}
	m := s.want(t, 200, "GET", "/webhooks/events/"+id, "").json(t)
	if m["eventType"] != "core.a" || m["tenant"] != "default" || m["size"] != float64(len(body)) || m["position"] == "" || fmt.Sprint(m["deliveries"]) != "[]" {
		t.Errorf("got %v", m)
	}
	e, err := s.db.Events().Read(t.Context(), postrider.Position(m["position"].(string)))
	if err != nil || string(e.Payload.Bytes) != body || e.ContentType != "application/x-thing" {
		t.Errorf("stored %+v, %v", e, err)
	}
	odd := "a/b:c@d=e+f/-"
	if got := s.want(t, 202, "POST", "/webhooks/events?type=core.b", "", "Postrider-Event-Id: "+odd).json(t)["id"]; got != odd {
		t.Errorf("id %v", got)
	}
	if m := s.want(t, 200, "GET", "/webhooks/events/"+url.PathEscape(odd), "").json(t); m["id"] != odd || m["size"] != 0.0 {
		t.Errorf("got %v", m)
	}
	s.want(t, 404, "GET", "/webhooks/events/none", "")
	s.want(t, 404, "GET", "/webhooks/events/"+id, "", "Postrider-Tenant: acme")
	s.want(t, 202, "POST", "/webhooks/events?type=a", "x", "Postrider-Event-Type: a")
}

func TestPublishFaultsAreNamed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, tt := range []struct {
		query, headers, fields string
	}{
		{"", "", "Postrider-Event-Type"},
		{"?type=a..b", "", "eventType"},
		{"?type=a.*", "", "eventType"},
		{"?type=postrider.target.disabled", "", "eventType"},
		{"?type=a", "Postrider-Event-Type: b", "type"},
		{"?type=a&%zz", "", "query"},
		{"?type=a", "Postrider-Event-Id: a.b", "id"},
		{"?type=a&x=y", "", "x"},
		{"?type=" + strings.Repeat("x", 129), "", "eventType"},
	} {
		var headers []string
		if tt.headers != "" {
			headers = append(headers, tt.headers)
		}
		if got := s.want(t, 422, "POST", "/webhooks/events"+tt.query, "x", headers...).fields(t); got != tt.fields {
			t.Errorf("%+v names %q", tt, got)
		}
	}
	for _, want := range []string{"(from the header Postrider-Event-Type)", "(from the header Postrider-Event-Id)"} {
		if a := s.want(t, 422, "POST", "/webhooks/events", "x", "Postrider-Event-Type: a..b", "Postrider-Event-Id: a.b"); !strings.Contains(string(a.body), want) {
			t.Errorf("%s does not say %s", a.body, want)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/webhooks/events", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Authorization": {"Bearer " + adminKey}, "Postrider-Event-Type": {"a", "b"}}
	twice, err := s.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if twice.Body.Close(); twice.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("two types: %d", twice.StatusCode)
	}
	s.want(t, 413, "POST", "/webhooks/events?type=a", strings.Repeat("x", 1<<20+1))
	chunked := s.send(t, adminKey, "POST", "/webhooks/events?type=a", io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20+1))))
	if chunked.status != 413 {
		t.Errorf("chunked: %d", chunked.status)
	}
	s.want(t, 202, "POST", "/webhooks/events?type=a", strings.Repeat("x", 1<<20))
}

// A body with a content coding is refused: no receiver would hear of it, and the bytes alone do not tell.
func TestContentEncoding(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, at := range []string{"/webhooks/events?type=a", "/webhooks/events/batch", "/webhooks/targets", "/tenants/acme/keys"} {
		for _, coding := range []string{"gzip", "br", "identity, gzip", strings.Repeat("x", 1000)} {
			a := s.want(t, 415, "POST", at, "\x1f\x8b", "Content-Encoding: "+coding)
			detail := a.json(t)["detail"].(string)
			if !strings.Contains(detail, coding[:min(len(coding), 20)]) || len(detail) > 200 {
				t.Errorf("%s: %s", at, detail)
			}
			if a.header.Get("Accept-Encoding") != "identity" {
				t.Errorf("%s does not say what is taken: %v", at, a.header)
			}
		}
	}
	for _, coding := range []string{"", "identity", "Identity"} {
		s.want(t, 202, "POST", "/webhooks/events?type=a", "x", "Content-Encoding: "+coding)
		s.want(t, 202, "POST", "/webhooks/events/batch", `[{"eventType": "a", "payload": "x"}]`, "Content-Encoding: "+coding)
	}
	if held := s.budget.Held(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
}

func TestPublishOverTheBudget(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	if !s.budget.TryAcquire("other", 6<<20) || !s.budget.TryAcquire("third", 1<<20) {
		t.Fatal("the budget is not there")
	}
	a := s.want(t, 503, "POST", "/webhooks/events/batch", `[{"eventType": "a", "payload": "`+strings.Repeat("x", 1<<20)+`"}]`)
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	s.budget.Release("other", 6<<20)
	s.want(t, 202, "POST", "/webhooks/events?type=a", "x")
	s.budget.Release("third", 1<<20)
	if held := s.budget.Held(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
}

// Bodies whose length is not told are held as they grow, so that many small ones fit; a large one that is alone fits too.
func TestChunkedBodiesAreHeldAsTheyGrow(t *testing.T) {
	t.Parallel()
	log := &heldLog{appended: make(chan func(error))}
	s := newServer(t, func(o *api.Options) {
		log.EventLog = o.Events
		o.Events = log
	})
	answers := make(chan answer)
	const many = 30
	chunked := func(n int) {
		for range n {
			go func() {
				answers <- s.send(t, adminKey, "POST", "/webhooks/events?type=a", io.MultiReader(strings.NewReader(strings.Repeat("x", 1000))))
			}()
		}
	}
	chunked(many)
	commits := make([]func(error), 0, many)
	for range many {
		select {
		case complete := <-log.appended:
			commits = append(commits, complete)
		case a := <-answers:
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if held := s.budget.Held(); held < many*1000 || held > many*2000 {
		t.Errorf("%d bytes are held", held)
	}
	for _, complete := range commits {
		complete(nil)
	}
	for range many {
		if a := <-answers; a.status != 202 {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if held := s.budget.Held(); held != 0 {
		t.Errorf("%d bytes are held in the end", held)
	}
}

func TestChunkedBodyAsLargeAsTheBudget(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *api.Options) { o.Budget = budget.New(1 << 20) })
	for _, n := range []int{0, 1, 64<<10 - 1, 64 << 10, 64<<10 + 1, 100_000, 1<<20 - 1, 1 << 20} {
		body := strings.Repeat("0123456789", n/10+1)[:n]
		a := s.send(t, adminKey, "POST", "/webhooks/events?type=a", io.MultiReader(strings.NewReader(body)))
		if a.status != 202 {
			t.Fatalf("%d bytes: %d %s", n, a.status, a.body)
		}
		e, err := s.db.Events().(postrider.EventFinder).Find(t.Context(), "default", a.json(t)["id"].(string))
		if err != nil || e.Payload.Size != int64(n) {
			t.Fatalf("%d bytes: %+v, %v", n, e, err)
		}
		if e, err = s.db.Events().Read(t.Context(), e.Position); err != nil || string(e.Payload.Bytes) != body {
			t.Errorf("%d bytes came otherwise: %v", n, err)
		}
	}
}
