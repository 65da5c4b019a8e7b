package flows

import (
	"cmp"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/postrider/postrider/test/harness"
)

// Flow is the main job: what is published arrives, signed, at who subscribed, and is to be seen in the API.
func Flow(t *testing.T, s *harness.Server) {
	t.Helper()
	r := harness.NewReceiver(t, nil)
	target := s.Target(t, r.URL+"/hook")
	s.Subscribe(t, target.ID, []string{"core.orders.*"})

	body := []byte(`{"order": 7,  "note": "spaces  stay"}`)
	id := s.Publish(t, "core.orders.created.v1", body, "Postrider-Event-Id: order-7", "Content-Type: application/vnd.order+json")
	if id != "order-7" {
		t.Errorf("id %q", id)
	}
	unmatched := s.Publish(t, "core.invoices.created.v1", body)

	m := r.AwaitCount(t, 1)[0]
	sameBytes(t, m, body)
	verify(t, m, target.Secret)
	if m.Path != "/hook" || m.ID != "order-7" || m.Type != "core.orders.created.v1" || m.Attempt != 1 ||
		m.Header.Get("Content-Type") != "application/vnd.order+json" {
		t.Errorf("wrong message: %+v", m)
	}

	d := s.AwaitState(t, "order-7", target.ID, "delivered")
	if d.Attempts != 1 || d.EventType != "core.orders.created.v1" || d.EventID != "order-7" {
		t.Errorf("wrong delivery: %+v", d)
	}
	var attempts struct {
		Items []struct {
			Number int
			Status int
		}
	}
	s.Do(t, http.StatusOK, http.MethodGet, "/webhooks/deliveries/"+d.ID+"/attempts", nil, &attempts)
	if len(attempts.Items) != 1 || attempts.Items[0].Number != 1 || attempts.Items[0].Status != http.StatusOK {
		t.Errorf("wrong attempts: %+v", attempts)
	}

	var event struct {
		ID, EventType, Tenant, Position string
		Size                            int64
		Deliveries                      []harness.Delivery
	}
	s.Do(t, http.StatusOK, http.MethodGet, "/webhooks/events/order-7", nil, &event)
	if tenant := cmp.Or(s.Tenant, "default"); event.Tenant != tenant || event.Size != int64(len(body)) || event.Position == "" || len(event.Deliveries) != 1 {
		t.Errorf("wrong event: %+v", event)
	}
	harness.Await(t, func() string {
		a, err := s.Call(t.Context(), http.MethodGet, "/webhooks/events/"+unmatched, nil)
		if err != nil || a.Status != http.StatusOK {
			return "the event that matched nothing is not shown"
		}
		return ""
	})
}

// LargePayloads sends payloads of none to 16 MiB, which arrive byte for byte.
func LargePayloads(t *testing.T, s *harness.Server) {
	t.Helper()
	r := harness.NewReceiver(t, nil)
	target := s.Target(t, r.URL)
	s.Subscribe(t, target.ID, []string{"*"})
	sent := map[string][]byte{}
	for i, size := range []int{0, 1, 100 << 10, 128<<10 + 1, 3 << 20, 16 << 20} {
		body := payload(uint64(i), size)
		sent[s.Publish(t, "blob.v1", body, "Content-Type: application/octet-stream")] = body
	}
	for _, m := range r.AwaitCount(t, len(sent)) {
		sameBytes(t, m, sent[m.ID])
	}
	s.Do(t, http.StatusRequestEntityTooLarge, http.MethodPost, "/webhooks/events", payload(9, 16<<20+1), nil, "Postrider-Event-Type: blob.v1")
	for id := range sent {
		s.AwaitState(t, id, target.ID, "delivered")
	}
}

// Batch publishes several events at once, or none if one is faulty.
func Batch(t *testing.T, s *harness.Server) {
	t.Helper()
	r := harness.NewReceiver(t, nil)
	target := s.Target(t, r.URL)
	s.Subscribe(t, target.ID, []string{"a.*"})
	batch := []byte(`[
		{"eventType": "a.text", "payload": "grüße", "id": "b-1", "contentType": "text/plain"},
		{"eventType": "a.object", "payload": {"x":  1.0,"y":[ ]}, "id": "b-2"},
		{"eventType": "a.bytes", "payloadBase64": "/wD+", "id": "b-3"},
		{"eventType": "b.unmatched", "payload": "x"}]`)
	var answer struct{ Items []struct{ ID string } }
	s.Do(t, http.StatusAccepted, http.MethodPost, "/webhooks/events/batch", batch, &answer, "Content-Type: application/json")
	if len(answer.Items) != 4 || answer.Items[0].ID != "b-1" || answer.Items[3].ID == "" {
		t.Fatalf("answer %+v", answer)
	}
	want := map[string]string{"b-1": "grüße", "b-2": `{"x":  1.0,"y":[ ]}`, "b-3": "\xff\x00\xfe"}
	for _, m := range r.AwaitCount(t, 3) {
		sameBytes(t, m, []byte(want[m.ID]))
	}
	faulty := []byte(`[{"eventType": "a.text", "payload": "x", "id": "b-9"}, {"eventType": "no type", "payload": 5}]`)
	a := s.Do(t, http.StatusUnprocessableEntity, http.MethodPost, "/webhooks/events/batch", faulty, nil, "Content-Type: application/json")
	for _, field := range []string{"eventType", "payload"} {
		if !json.Valid(a.Body) || !contains(a.Body, field) {
			t.Errorf("the problem does not name %s: %s", field, a.Body)
		}
	}
	s.Do(t, http.StatusNotFound, http.MethodGet, "/webhooks/events/b-9", nil, nil)
}

// RetryThenDelivered lets attempts fail, until one succeeds. It needs Fast.
func RetryThenDelivered(t *testing.T, s *harness.Server) {
	t.Helper()
	r := harness.NewReceiver(t, statuses(500, 302, 503))
	target := s.Target(t, r.URL)
	s.Subscribe(t, target.ID, []string{"*"})
	body := payload(1, 300)
	id := s.Publish(t, "a.b", body)
	messages := r.AwaitCount(t, 4)
	for i, m := range messages {
		sameBytes(t, m, body)
		verify(t, m, target.Secret)
		if m.ID != id || m.Attempt != i+1 {
			t.Errorf("message %d is attempt %d of %s", i, m.Attempt, m.ID)
		}
	}
	d := s.AwaitState(t, id, target.ID, "delivered")
	if d.Attempts != 4 {
		t.Errorf("%d attempts", d.Attempts)
	}
}

// ExhaustedThenReplay lets all attempts fail until the window ends, and replays. It needs ShortWindow.
func ExhaustedThenReplay(t *testing.T, s *harness.Server) {
	t.Helper()
	var up = make(chan struct{})
	r := harness.NewReceiver(t, func(m *harness.Message, _ http.ResponseWriter) int {
		select {
		case <-up:
			return http.StatusNoContent
		default:
			return http.StatusBadGateway
		}
	})
	target := s.Target(t, r.URL)
	s.Subscribe(t, target.ID, []string{"*"})
	body := payload(2, 200<<10)
	id := s.Publish(t, "a.b", body)
	d := s.AwaitState(t, id, target.ID, "exhausted")
	if d.Reason != "window" || d.Attempts < 1 {
		t.Errorf("wrong end: %+v", d)
	}
	close(up)
	s.Do(t, http.StatusAccepted, http.MethodPost, "/webhooks/deliveries/"+d.ID+"/replay", nil, nil)
	again := s.AwaitState(t, id, target.ID, "delivered")
	if again.ID != d.ID || again.Attempts <= d.Attempts {
		t.Errorf("after the replay: %+v, before %+v", again, d)
	}
	messages := r.Messages()
	last := messages[len(messages)-1]
	sameBytes(t, last, body)
	if last.ID != id || last.Replay != 1 || last.Attempt != again.Attempts {
		t.Errorf("wrong replay: %+v", last)
	}
}
