package stack

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/postrider/postrider/test/harness"
)

// fast are settings that let failed attempts be tried again soon, and leases end soon.
var fast = []string{"--retry-base", "200ms", "--retry-max", "1s", "--timeout", "5s"}

// TestFlow is the main job: targets by the API, Avro events on Kafka, a large payload by way of S3, a target that fails at
// first, and all of it to be seen in the API.
func TestFlow(t *testing.T) {
	t.Parallel()
	f := newFleet(t, fast...)
	processes := f.startAll(t)
	receiver := harness.NewReceiver(t, func(m *harness.Message, _ http.ResponseWriter) int {
		if m.Path == "/flaky" && m.Replay == 0 && m.Attempt < 3 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	steady, flaky := f.api().Target(t, receiver.URL+"/steady"), f.api().Target(t, receiver.URL+"/flaky")
	f.api().Subscribe(t, steady.ID, []string{"core.orders.*"})
	f.api().Subscribe(t, flaky.ID, []string{"core.orders.created.v1", "core.orders.*"})

	app := application(t, f.at.kafka)
	schema, evolved := register(t, f.at.registry, f.name+"-value", webhookEvent), register(t, f.at.registry, f.name+"-evolved", evolvedEvent)
	small, text, large := harness.Payload(1, 700), []byte(`{"order": 7,  "note": "spaces  stay"}`), harness.Payload(2, 3<<20)
	sent := map[string][]byte{"framed": small, "bare": text, "evolved": text, "large": large}
	const created = "core.orders.created.v1"
	produce(t, app, f.name, framed(schema, encode(t, webhookEvent, created, small)), "postrider-event-id", "framed", "content-type", "application/octet-stream")
	produce(t, app, f.name, encode(t, webhookEvent, created, text), "postrider-event-id", "bare")
	produce(t, app, f.name, framed(evolved, encode(t, evolvedEvent, created, text)), "postrider-event-id", "evolved")
	produce(t, app, f.name, encode(t, webhookEvent, created, large), "postrider-event-id", "large")
	produce(t, app, f.name, encode(t, webhookEvent, "core.invoices.created.v1", text), "postrider-event-id", "unmatched")
	posted := f.api().Publish(t, created, text)
	sent[posted] = text

	secrets := map[string]string{"/steady": steady.Secret, "/flaky": flaky.Secret}
	for _, m := range receiver.AwaitCount(t, len(sent)*4) { // one attempt at the one target, three at the other
		harness.SameBytes(t, m, sent[m.ID])
		if m.Size <= harness.KeepBody {
			harness.Verify(t, m, secrets[m.Path])
		}
		if want := "application/json"; m.ID != "framed" && m.Header.Get("Content-Type") != want {
			t.Errorf("%s has content type %s", m.ID, m.Header.Get("Content-Type"))
		}
	}
	for id := range sent {
		f.api().AwaitState(t, id, steady.ID, "delivered")
		d := f.api().AwaitState(t, id, flaky.ID, "delivered")
		f.checkAttempts(t, d, 503, 503, 200)
	}
	if n := len(f.objects(t)); n != 1 {
		t.Errorf("%d objects are stored; only one payload is large", n)
	}
	f.replay(t, receiver, steady.ID, "large", sent)
	f.replay(t, receiver, flaky.ID, "framed", sent)
	harness.Await(t, func() string {
		a, err := f.api().Call(t.Context(), http.MethodGet, "/webhooks/events/unmatched", nil)
		if err != nil || a.Status != http.StatusOK {
			return "the event that matched nothing is not shown"
		}
		return ""
	})
	for role, p := range processes {
		if status := p.Stop(t); status != 0 {
			t.Errorf("%s ends with status %d", role, status)
		}
	}
}

// checkAttempts holds the attempts of a delivery against statuses.
func (f *fleet) checkAttempts(t *testing.T, d harness.Delivery, want ...int) {
	t.Helper()
	var got []int
	for _, a := range f.api().Attempts(t, d.ID) {
		got = append(got, a.Status)
	}
	if !slices.Equal(got, want) || d.Attempts != len(want) {
		t.Errorf("%s: attempts %v, count %d; want %v", d.EventID, got, d.Attempts, want)
	}
}

// replay has the original sent again from its position on Kafka.
func (f *fleet) replay(t *testing.T, r *harness.Receiver, target int64, id string, sent map[string][]byte) {
	t.Helper()
	d := f.api().AwaitState(t, id, target, "delivered")
	harness.Await(t, func() string { // a 503 is no fault: Kafka may be busy with itself
		a, err := f.api().Call(t.Context(), http.MethodPost, "/webhooks/deliveries/"+d.ID+"/replay", nil)
		switch {
		case err != nil || a.Status == http.StatusServiceUnavailable:
			return fmt.Sprintf("the replay is not accepted: %v %s", err, a.Body)
		case a.Status != http.StatusAccepted:
			t.Fatalf("the replay is answered %d: %s", a.Status, a.Body)
		}
		return ""
	})
	isReplay := func(m harness.Message) bool { return m.ID == id && m.Replay == 1 }
	messages := r.Await(t, "the replay of "+id, func(all []harness.Message) bool {
		for _, m := range all {
			if isReplay(m) {
				return true
			}
		}
		return false
	})
	for _, m := range messages {
		if isReplay(m) && m.Attempt != d.Attempts+1 {
			t.Errorf("the replay is attempt %d, after %d", m.Attempt, d.Attempts)
		}
		if isReplay(m) {
			harness.SameBytes(t, m, sent[id])
		}
	}
}

// objects lists what is stored in the bucket.
func (f *fleet) objects(t *testing.T) []string {
	t.Helper()
	client := s3.New(s3.Options{Region: "us-east-1", UsePathStyle: true, BaseEndpoint: aws.String("http://" + f.at.s3),
		Credentials: credentials.NewStaticCredentialsProvider(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), "")})
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	page, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String(f.name), Prefix: aws.String("payloads/")})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, o := range page.Contents {
		keys = append(keys, aws.ToString(o.Key))
	}
	return keys
}
