package stack

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/test/harness"
)

// TestBadRecords puts malformed, truncated and foreign records between good ones: the good ones arrive, the others are dead
// letters with a reason.
func TestBadRecords(t *testing.T) {
	t.Parallel()
	f := newFleet(t, fast...)
	f.start(t, strings.Join(roles, ","))
	receiver := harness.NewReceiver(t, nil)
	f.api().Subscribe(t, f.api().Target(t, receiver.URL).ID, []string{"*"})
	app := application(t, f.at.kafka, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	const good = "good.v1"
	whole := bare(good, []byte("payload"))
	foreign := register(t, f.at.registry, f.name+"-foreign", `{"type": "record", "name": "Other", "fields": [{"name": "n", "type": "int"}]}`)
	bad := []struct {
		what   string
		value  []byte
		reason string
		header []string
	}{
		{"nothing", nil, "avro", nil},
		{"noise", []byte("{not avro}"), "avro", nil},
		{"truncated", whole[:len(whole)-3], "avro", nil},
		{"bytes left over", append(bytes.Clone(whole), 0), "avro", nil},
		{"half a frame", []byte{0, 0, 0}, "avro", nil},
		{"an unknown schema", framed(1<<30, whole), "schema", nil},
		{"a foreign schema", framed(foreign, []byte{2}), "schema", nil},
		{"a bad type", bare("no type!", []byte("x")), "field", nil},
		{"one of Postrider's types", bare("postrider.target.disabled", []byte("x")), "field", nil},
		{"a bad id", whole, "field", []string{"postrider-event-id", "with.dot"}},
		{"a long id", whole, "field", []string{"postrider-event-id", strings.Repeat("i", 129)}},
		{"a bad tenant", whole, "field", []string{"postrider-tenant", "a/b"}},
		{"a bad content type", whole, "field", []string{"content-type", "no content type"}},
		{"too large a payload", bare(good, make([]byte, 16<<20+1)), "too_large", nil},
	}
	produce(t, app, f.name, whole, "postrider-event-id", "good-0") // all in one partition: a bad one must not block it
	for i, b := range bad {
		produce(t, app, f.name, b.value, append([]string{"case", b.what}, b.header...)...)
		produce(t, app, f.name, whole, "postrider-event-id", fmt.Sprintf("good-%d", i+1))
	}
	receiver.AwaitCount(t, len(bad)+1)
	seen := map[string]bool{}
	for _, m := range receiver.Messages() {
		if !strings.HasPrefix(m.ID, "good-") || seen[m.ID] {
			t.Errorf("%s arrived", m.ID)
		}
		seen[m.ID] = true
	}
	reasons := deadLetters(t, f, len(bad))
	for _, b := range bad {
		if got := reasons[b.what]; !strings.HasPrefix(got, b.reason+": ") {
			t.Errorf("%s: dead for %q, want %s", b.what, got, b.reason)
		}
	}
}

// deadLetters reads some dead letters: the reason by the header "case".
func deadLetters(t *testing.T, f *fleet, n int) map[string]string {
	t.Helper()
	client := application(t, f.at.kafka, kgo.ConsumeTopics(f.name+"-dead"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxBytes(64<<20))
	reasons := map[string]string{}
	harness.Await(t, func() string {
		client.PollRecords(t.Context(), n).EachRecord(func(r *kgo.Record) {
			of := map[string]string{}
			for _, h := range r.Headers {
				of[h.Key] = string(h.Value)
			}
			reasons[of["case"]] = of["postrider-dead-reason"]
		})
		if len(reasons) < n {
			return fmt.Sprintf("%d dead letters: %v", len(reasons), reasons)
		}
		return ""
	})
	return reasons
}

// TestLimits sends payloads of 10 MB, and ids, types and tenants at their limits.
func TestLimits(t *testing.T) {
	t.Parallel()
	f := newFleet(t, fast...)
	f.start(t, strings.Join(roles, ","))
	receiver := harness.NewReceiver(t, nil)
	tenant := strings.Repeat("T", 60) + "._-9"
	of := "Postrider-Tenant: " + tenant
	for _, headers := range [][]string{nil, {of}} {
		f.api().Subscribe(t, f.api().Target(t, receiver.URL, headers...).ID, []string{"*"}, headers...)
	}
	app := application(t, f.at.kafka)
	ten, longID, longType := harness.Payload(1, 10<<20), strings.Repeat("aZ9_:@=+/-", 12)+"12345678", strings.Repeat("segment.", 15)+"eightchr"
	sent := map[string][]byte{"ten": ten, longID: []byte("x")}
	produce(t, app, f.name, bare("a.b", ten), "postrider-event-id", "ten")
	produce(t, app, f.name, bare(longType, []byte("x")), "postrider-event-id", longID, "postrider-tenant", tenant)
	posted := f.api().Publish(t, longType, ten, of, "Content-Type: application/octet-stream")
	sent[posted] = ten
	empty := f.api().Publish(t, "a", nil)
	sent[empty] = nil
	for _, m := range receiver.AwaitCount(t, len(sent)) {
		harness.SameBytes(t, m, sent[m.ID])
		if (m.ID == longID || m.ID == posted) && m.Type != longType {
			t.Errorf("%s has type %s", m.ID, m.Type)
		}
	}
	f.api().Do(t, http.StatusRequestEntityTooLarge, http.MethodPost, "/webhooks/events", make([]byte, 16<<20+1), nil, "Postrider-Event-Type: a.b")
	f.api().AwaitDeliveries(t, "", func(list []harness.Delivery) bool { return len(list) == 2 && list[0].Final() && list[1].Final() })
	f.api().AwaitDeliveries(t, "", func(list []harness.Delivery) bool { return len(list) == 2 && list[0].Final() && list[1].Final() }, of)
}
