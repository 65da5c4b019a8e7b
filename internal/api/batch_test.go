package api_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/api"
)

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
