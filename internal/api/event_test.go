package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

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

// What a batch becomes is held beside its body while it is read, and alone then.
func TestBatchIsHeldWithItsPayloads(t *testing.T) {
	t.Parallel()
	log := &heldLog{appended: make(chan func(error))}
	s := newServer(t, func(o *api.Options) {
		log.EventLog = o.Events
		o.Events = log
	})
	const size = 900 << 10
	item := `{"eventType": "a", "payloadBase64": "` + strings.Repeat("eHh4", size/3) + `"}`
	batch := "[" + item + strings.Repeat(" ", 1<<20) + "]"
	answers := make(chan answer, 1)
	go func() { answers <- s.do(t, adminKey, "POST", "/webhooks/events/batch", batch) }()
	complete := <-log.appended
	if held := s.budget.Held(); held < size || held > size+8 {
		t.Errorf("%d bytes are held of payloads of %d", held, size)
	}
	complete(nil)
	if a := <-answers; a.status != 202 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if !s.budget.TryAcquire("other", 8<<20-3<<20) { // room for the body, not for both
		t.Fatal("the budget is not there")
	}
	s.want(t, 503, "POST", "/webhooks/events/batch", batch)
	s.budget.Release("other", 8<<20-3<<20)
	if held := s.budget.Held(); held != 0 {
		t.Errorf("%d bytes are held in the end", held)
	}
}

func TestBatch(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a := s.want(t, 202, "POST", "/webhooks/events/batch", `[
		{"eventType": "a", "payload": "t\u00e4xt \ud83d\ude00"},
		{"eventType": "a", "payload": {"b" :  [1, 2.50, "\u00e4"]}, "id": "mine", "contentType": "application/x"},
		{"eventType": "a", "payload": [ 1,2 ]},
		{"eventType": "a", "payloadBase64": "AP8="},
		{"eventType": "a", "payload": ""}]`)
	var got struct{ Items []struct{ ID string } }
	if err := json.Unmarshal(a.body, &got); err != nil || len(got.Items) != 5 || got.Items[1].ID != "mine" {
		t.Fatalf("answer %s", a.body)
	}
	for i, want := range []string{"täxt 😀", `{"b" :  [1, 2.50, "\u00e4"]}`, "[ 1,2 ]", "\x00\xff", ""} {
		m := s.want(t, 200, "GET", "/webhooks/events/"+got.Items[i].ID, "").json(t)
		e, err := s.db.Events().Read(t.Context(), postrider.Position(m["position"].(string)))
		if err != nil || string(e.Payload.Bytes) != want {
			t.Errorf("item %d: %q, %v; want %q", i, e.Payload.Bytes, err, want)
		}
	}
}

func TestBatchFaultsAreNamed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for body, fields := range map[string]string{
		`[]`: "items",
		`[{"eventType": "a", "payload": 1}, {"eventType": "a", "payload": true}, {"eventType": "a", "payload": null}]`: "items[0].payload items[1].payload items[2].payload",
		`[{"payload": "x"}, {"eventType": "a..b", "payload": "x", "id": "a.b"}]`:                                       "items[0].eventType items[1].eventType items[1].id",
		`[{"eventType": "a"}]`: "items[0].payload",
		`[{"eventType": "a", "payload": "x", "payloadBase64": "eA=="}]`: "items[0].payloadBase64",
		`[{"eventType": "a", "payloadBase64": "%"}]`:                    "items[0].payloadBase64",
		`[{"eventType": "a", "payload": "x", "colour": 1}]`:             "items[0].colour",
		`[{"eventType": "a", "payload": "\ud800"}]`:                     "items[0].payload",
		`[7, "x"]`: "items[0] items[1]",
		`[{"eventType": "a", "payload": "x"}, {"eventType": "a", "payload": "x", "id": "a", "id": "b"}]`:  "items[1].id",
		`[` + strings.Repeat(`{"eventType":"a","payload":""},`, 1000) + `{"eventType":"a","payload":""}]`: "items",
	} {
		if got := s.want(t, 422, "POST", "/webhooks/events/batch", body).fields(t); got != fields {
			t.Errorf("%.100s names %q, want %q", body, got, fields)
		}
	}
	if a := s.want(t, 400, "POST", "/webhooks/events/batch", ""); !strings.Contains(string(a.body), "JSON array") {
		t.Errorf("%s asks for no array", a.body)
	}
	for body, status := range map[string]int{"": 400, "[": 400, "[{]": 400, "[] x": 400, "{}": 422, "[\"\xff\"]": 400} {
		s.want(t, status, "POST", "/webhooks/events/batch", body)
	}
	s.want(t, 413, "POST", "/webhooks/events/batch", `[{"eventType": "a", "payload": "`+strings.Repeat("x", 1<<20+1)+`"}]`)
	// Nothing of a batch that is refused is written.
	s.want(t, 422, "POST", "/webhooks/events/batch", `[{"eventType": "a", "payload": "x", "id": "first"}, {"eventType": "", "payload": "x"}]`)
	s.want(t, 404, "GET", "/webhooks/events/first", "")
}

func TestDeliveriesAndReplay(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	target, _, _ := s.entities(t, adminKey)
	var targetID int64
	fmt.Sscan(target, &targetID)
	event := s.want(t, 202, "POST", "/webhooks/events?type=core.a", "x").json(t)["id"].(string)
	id := s.delivered(t, "default", event, targetID, postrider.StateRetrying)
	path := "/webhooks/deliveries/" + id.String()
	m := s.want(t, 200, "GET", path, "").json(t)
	if m["state"] != "retrying" || m["eventId"] != event || m["attempts"] != 1.0 || m["eventType"] != "core.a" {
		t.Errorf("got %v", m)
	}
	attempts := s.want(t, 200, "GET", path+"/attempts", "").json(t)["items"].([]any)
	if a := attempts[0].(map[string]any); len(attempts) != 1 || a["number"] != 1.0 || a["response"] != "no\ufffd" || a["durationMs"] != 0.0 {
		t.Errorf("attempts %v", attempts)
	}
	s.want(t, 409, "POST", path+"/replay", "")
	s.delivered(t, "default", event, targetID, postrider.StateExhausted)
	list := s.want(t, 200, "GET", "/webhooks/deliveries?state=exhausted&targetId="+target+"&eventId="+event+"&eventType=core.a&since=2020-01-01T00:00:00Z&until=2100-01-01T00:00:00Z", "").json(t)
	if len(list["items"].([]any)) != 1 || list["asOf"] == nil {
		t.Errorf("list %v", list)
	}
	if m := s.want(t, 200, "GET", "/webhooks/events/"+event, "").json(t); len(m["deliveries"].([]any)) != 1 {
		t.Errorf("event %v", m)
	}
	for query, n := range map[string]int{"until=0001-01-01T00:00:00Z": 0, "until=1900-01-01T00:00:00Z": 0, "until=9999-01-01T00:00:00Z": 1, "since=0001-01-01T00:00:00Z": 1, "since=9999-01-01T00:00:00Z": 0} {
		if got := s.want(t, 200, "GET", "/webhooks/deliveries?"+query, "").json(t)["items"].([]any); len(got) != n {
			t.Errorf("%s: %d deliveries, want %d", query, len(got), n)
		}
	}
	if m := s.want(t, 202, "POST", path+"/replay", "").json(t); m["state"] != "pending" {
		t.Errorf("replayed %v", m)
	}
	leases, err := s.db.Queue().Take(t.Context(), postrider.TakeRequest{Lane: postrider.LaneBulk, Credit: 1})
	if err != nil || leases[0].Pack.Deliveries[0].Generation != 1 || leases[0].Pack.Deliveries[0].Earlier != 1 || leases[0].Pack.Deliveries[0].ID != id {
		t.Errorf("queued %+v, %v", leases, err)
	}
	if _, err := s.db.Database().TurnOff(t.Context(), "default", targetID, "gone", nil); err != nil {
		t.Fatal(err)
	}
	replayed, err := s.db.Outcomes(true).Record(t.Context(), []postrider.Outcome{{Kind: postrider.OutcomeState, At: time.Now().UTC().Add(time.Second), Tenant: "default", // of one generation and rank the later counts
		Event: leases[0].Pack.Deliveries[0].Event.Head(), DeliveryID: id, TargetID: targetID, Generation: 1, Attempts: 1, State: postrider.StateCancelled, Reason: postrider.ReasonTargetOff}})
	if err == nil {
		err = replayed.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	s.want(t, 409, "POST", path+"/replay", "")
	s.want(t, 200, "POST", "/webhooks/targets/"+target+"/enable", "")
	s.want(t, 202, "POST", path+"/replay", "")
	for query, fields := range map[string]string{"state=done": "state", "targetId=x": "targetId", "since=yesterday": "since", "until=1": "until", "eventType=*": "eventType", "limit=999": "limit"} {
		if got := s.want(t, 422, "GET", "/webhooks/deliveries?"+query, "").fields(t); got != fields {
			t.Errorf("%s names %q", query, got)
		}
	}
	for _, bad := range []string{"dlv_x", "x", "dlv_00000000000000000000000000"} {
		s.want(t, 404, "GET", "/webhooks/deliveries/"+bad, "")
	}
}

func TestBasePath(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *api.Options) { o.BasePath = "/hooks/" })
	made := s.want(t, 201, "POST", "/hooks/webhooks/targets", publicURL)
	if location := made.header.Get("Location"); location != "/hooks/webhooks/targets/"+made.id(t) {
		t.Errorf("location %s", location)
	}
	s.want(t, 404, "GET", "/webhooks/targets", "")
	s.wantAs(t, "", 200, "GET", "/hooks/openapi.json", "")
}
