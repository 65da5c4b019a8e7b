package simulation

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// published is an event as its producer knows it.
type published struct {
	tenant, eventType string
	digest            [32]byte
	acknowledged      bool
	at                time.Time // when it was published
	until             time.Time // when it was answered, or was not
}

// produce publishes events until the end, sometimes several at once.
func (w *world) produce(n uint64, random *rand.Rand, end time.Time) {
	for i := 0; time.Now().Before(end); i++ {
		id := fmt.Sprintf("evt-%d-%d", n, i)
		if random.IntN(5) == 0 {
			w.publishBatch(id, random)
		} else {
			w.publish(id, random)
		}
		if random.IntN(4) != 0 {
			time.Sleep(time.Duration(random.Int64N(int64(12 * time.Second))))
		}
	}
}

func someTenant(random *rand.Rand) string {
	return [...]string{"acme", "acme", "beta"}[random.IntN(3)]
}

func someBytes(random *rand.Rand) []byte {
	size := random.IntN(200)
	if random.IntN(8) == 0 {
		size = 2<<10 + random.IntN(80<<10) // it does not travel in the queue
	}
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = byte(random.Uint32())
	}
	return payload
}

// begin notes an event before it is published.
func (w *world) begin(id, tenant, eventType string, payload []byte) *published {
	e := &published{tenant: tenant, eventType: eventType, digest: sha256.Sum256(payload), at: time.Now()}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events[id] = e
	return e
}

// end notes what became of events. Without an answer they may have been accepted all the same.
func (w *world) end(status int, err error, events ...*published) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range events {
		e.acknowledged, e.until = err == nil && status == http.StatusAccepted, time.Now()
	}
	if err == nil && status != http.StatusAccepted && status != http.StatusServiceUnavailable {
		w.t.Errorf("intake answers %d", status)
	}
}

// publish publishes one event.
func (w *world) publish(id string, random *rand.Rand) {
	payload := someBytes(random)
	e := w.begin(id, someTenant(random), types[random.IntN(len(types))], payload)
	status, err := w.current.Load().call(http.MethodPost, "/webhooks/events?type="+e.eventType, e.tenant, payload, nil, "Postrider-Event-Id", id)
	w.end(status, err, e)
}

// publishBatch publishes several events at once, whose payloads are text, bytes and JSON.
func (w *world) publishBatch(id string, random *rand.Rand) {
	tenant := someTenant(random)
	var items []string
	var events []*published
	for n := range 1 + random.IntN(12) {
		member, payload := somePayload(random)
		id, eventType := fmt.Sprintf("%s-%d", id, n), types[random.IntN(len(types))]
		items = append(items, fmt.Sprintf(`{"eventType":%q,"id":%q,%s}`, eventType, id, member))
		events = append(events, w.begin(id, tenant, eventType, payload))
	}
	var answer struct{ Items []struct{ ID string } }
	status, err := w.current.Load().call(http.MethodPost, "/webhooks/events/batch", tenant, []byte("["+strings.Join(items, ",")+"]"), &answer,
		"Content-Type", "application/json")
	if err == nil && status == http.StatusAccepted && len(answer.Items) != len(items) {
		w.t.Errorf("%d ids for %d events", len(answer.Items), len(items))
	}
	w.end(status, err, events...)
}

// somePayload draws a payload, and the member of a batch's item that stands for it.
func somePayload(random *rand.Rand) (member string, payload []byte) {
	payload = someBytes(random)
	switch random.IntN(3) {
	case 0:
		return fmt.Sprintf(`"payloadBase64":%q`, base64.StdEncoding.EncodeToString(payload)), payload
	case 1:
		payload = fmt.Appendf(nil, `{ "%x":  [1,"\u00e9"] }`, payload) // its very bytes are sent
		return fmt.Sprintf(`"payload":%s`, payload), payload
	}
	payload = bytes.ToValidUTF8(payload, []byte("?"))
	text, _ := json.Marshal(string(payload)) // a string always marshals
	return fmt.Sprintf(`"payload":%s`, text), payload
}
