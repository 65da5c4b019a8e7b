package stack

import (
	"context"
	"encoding/binary"
	"net/http"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/postrider/postrider/test/harness"
)

// webhookEvent is the schema of the applications that publish.
const webhookEvent = `{"type": "record", "name": "WebhookEvent", "namespace": "com.yotpo.platform.webhookdelivery.messages",
	"fields": [{"name": "event_type", "type": "string"}, {"name": "payload", "type": "string"}]}`

// evolvedEvent is the schema of one that has gone on: a field more, another order.
const evolvedEvent = `{"type": "record", "name": "WebhookEvent", "namespace": "com.yotpo.platform.webhookdelivery.messages",
	"fields": [{"name": "payload", "type": "string"}, {"name": "priority", "type": "int", "default": 3}, {"name": "event_type", "type": "string"}]}`

type event struct {
	EventType string `avro:"event_type"`
	Payload   string `avro:"payload"`
	Priority  int    `avro:"priority"`
}

// encode is an event in bare Avro.
func encode(t *testing.T, schema, eventType string, payload []byte) []byte {
	t.Helper()
	b, err := avro.MustParse(schema).Encode(&event{EventType: eventType, Payload: string(payload)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// bare is encode with the applications' schema, by hand: two strings, each with its length before it.
func bare(eventType string, payload []byte) []byte {
	b := binary.AppendVarint(nil, int64(len(eventType)))
	b = append(b, eventType...)
	b = binary.AppendVarint(b, int64(len(payload)))
	return append(b, payload...)
}

// framed puts a schema's number in front, as Confluent's serializers do.
func framed(id int, body []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), body...)
}

// register puts a schema into the registry and returns its number.
func register(t *testing.T, url, subject, schema string) int {
	t.Helper()
	client, err := sr.NewClient(sr.URLs(url), sr.HTTPClient(&http.Client{Timeout: harness.Patience}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	made, err := client.CreateSchema(ctx, subject, sr.Schema{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// application is a client of Kafka as applications are, apart from Postrider.
func application(t *testing.T, broker string, more ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(broker), kgo.ProducerBatchMaxBytes(32 << 20)}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// produce puts one record on a topic and waits until it is acknowledged.
func produce(t *testing.T, client *kgo.Client, topic string, value []byte, headers ...string) *kgo.Record {
	t.Helper()
	r := record(topic, value, headers...)
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	if err := client.ProduceSync(ctx, r).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return r
}

// record is a record with headers, given as name, value, name, value.
func record(topic string, value []byte, headers ...string) *kgo.Record {
	r := &kgo.Record{Topic: topic, Value: value}
	for i := 0; i < len(headers); i += 2 {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: headers[i], Value: []byte(headers[i+1])})
	}
	return r
}
