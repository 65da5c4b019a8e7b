package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// call makes a request with the admin key and decodes the answer.
func (r *running) call(t *testing.T, method, path, body string, header ...string) map[string]any {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.ready.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.ready.AdminKey)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %d %s %v", method, path, resp.StatusCode, raw, err)
	}
	var answer map[string]any
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&answer); err != nil && len(raw) > 0 {
		t.Fatal(err)
	}
	return answer
}

// until repeats a question until it is answered with true.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.After(90 * time.Second)
	for !f() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatal("it never happened: " + what)
		}
	}
}

// TestOutcomesWithoutKafka: while Kafka is away for the outcomes, from the start on, deliveries go on and are shown, since
// outcomes travel by the queue; once it is there, without a restart, they travel by it.
func TestOutcomesWithoutKafka(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer receiver.Close()
	r := run(t, "--outcomes", fmt.Sprintf("kafka://127.0.0.1:%d/outcomes", port), "--allow-targets", "127.0.0.1")
	target := r.call(t, "POST", "/webhooks/targets", fmt.Sprintf(`{"url": %q}`, receiver.URL))
	filter := r.call(t, "POST", "/webhooks/filters", `{"events": ["a.b"]}`)
	r.call(t, "POST", "/webhooks/subscriptions", fmt.Sprintf(`{"targetId": %.0f, "filterId": %.0f}`, target["id"], filter["id"]))
	delivered := func(id string) func() bool {
		r.call(t, "POST", "/webhooks/events", "{}", "Postrider-Event-Type", "a.b", "Postrider-Event-Id", id)
		return func() bool {
			items, _ := r.call(t, "GET", "/webhooks/deliveries?state=delivered&eventId="+id, "")["items"].([]any)
			return len(items) == 1
		}
	}
	until(t, "a delivery without Kafka", delivered("first"))
	if _, body := r.get(t, "/readyz"); !strings.Contains(body, "Kafka") {
		t.Errorf("/readyz does not name what is away: %s", body)
	}
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DefaultNumPartitions(2))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	n := 0
	until(t, "outcomes by Kafka", func() bool {
		n++
		until(t, "a delivery", delivered(fmt.Sprintf("e%d", n)))
		_, metrics := r.get(t, "/metrics")
		return strings.Contains(metrics, `postrider_archive_outcomes_total{source="log"}`) && !strings.Contains(metrics, `postrider_archive_outcomes_total{source="log"} 0`)
	})
	r.stop(t)
}

// TestReplayFromKafka: a replay reads the original from its position in Kafka; past the topic's retention it answers 410.
func TestReplayFromKafka(t *testing.T) {
	t.Parallel()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DefaultNumPartitions(1))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	bodies := make(chan string, 16)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- string(body) + r.Header.Get("Postrider-Replay")
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()
	r := run(t, "--events", "kafka://"+broker.ListenAddrs()[0]+"/events", "--allow-targets", "127.0.0.1")
	target := r.call(t, "POST", "/webhooks/targets", fmt.Sprintf(`{"url": %q}`, receiver.URL))
	filter := r.call(t, "POST", "/webhooks/filters", `{"events": ["a.b"]}`)
	r.call(t, "POST", "/webhooks/subscriptions", fmt.Sprintf(`{"targetId": %.0f, "filterId": %.0f}`, target["id"], filter["id"]))
	r.call(t, "POST", "/webhooks/events", `{"n": 1}`, "Postrider-Event-Type", "a.b", "Postrider-Event-Id", "one")
	if got := <-bodies; got != `{"n": 1}` {
		t.Errorf("received %q", got)
	}
	delivery := func() (id string) {
		until(t, "the delivery is final", func() bool {
			items, _ := r.call(t, "GET", "/webhooks/deliveries?state=delivered&eventId=one", "")["items"].([]any)
			if len(items) == 1 {
				id = items[0].(map[string]any)["id"].(string)
			}
			return id != ""
		})
		return id
	}
	r.call(t, "POST", "/webhooks/deliveries/"+delivery()+"/replay", "")
	if got := <-bodies; got != `{"n": 1}1` {
		t.Errorf("replayed %q", got)
	}
	if err := broker.DeleteRecords("events", 0, 1); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.ready.URL+"/webhooks/deliveries/"+delivery()+"/replay", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.ready.AdminKey)
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusGone || !strings.Contains(string(body), "retention") {
		t.Errorf("past the retention: %d %s", resp.StatusCode, body)
	}
	r.stop(t)
}
