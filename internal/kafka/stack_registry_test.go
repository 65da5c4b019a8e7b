package kafka

import (
	"crypto/rand"
	"net/http"
	"strings"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/postrider/postrider/internal/stacktest"
)

// TestOnRegistry reads what was written with an evolved schema that a real registry holds.
func TestOnRegistry(t *testing.T) {
	t.Parallel()
	url := stacktest.Need(t, "STACK_REGISTRY", "the URL of a schema registry")
	connections := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(connections.CloseIdleConnections)
	client, err := sr.NewClient(sr.URLs(url), sr.HTTPClient(connections))
	if err != nil {
		t.Fatal(err)
	}
	made, err := client.CreateSchema(within(t), "test-"+strings.ToLower(rand.Text()), sr.Schema{Schema: evolvedText})
	if err != nil {
		t.Fatal(err)
	}
	body, err := avro.MustParse(evolvedText).Encode(&evolved{Payload: "hello", EventType: "a.b"})
	if err != nil {
		t.Fatal(err)
	}
	_, broker := cluster(t)
	l := openEvents(t, broker+"events?registry="+url)
	raw(t, broker+"events", &kgo.Record{Value: framed(made.ID, body), Headers: []kgo.RecordHeader{{Key: headerEventID, Value: []byte("e")}}})
	if e := take(t, reader(t, l), 1, true)["e"]; e == nil || string(e.Payload.Bytes) != "hello" || e.Type != "a.b" {
		t.Fatalf("got %+v", e)
	}
}
