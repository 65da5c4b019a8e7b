package kafka

import (
	"bytes"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Postrider's own events come back; what any other producer makes of that is a dead letter, whatever it says of itself.
func TestOwnEventsCanNotBeForged(t *testing.T) {
	t.Parallel()
	c, url := cluster(t)
	key := func(o *EventOptions) { o.OwnKey = bytes.Repeat([]byte{7}, 32) }
	l := openEvents(t, url+"events?partitions=1", key)
	mine := event("own", "{}")
	mine.Type, mine.ContentType = "postrider.target.disabled", "application/json"
	add(t, l, mine)
	recorded := l.recordOf(mine)
	forge := func(change func(*kgo.Record)) *kgo.Record {
		r := &kgo.Record{Value: recorded.Value}
		r.Headers = append(r.Headers, recorded.Headers...)
		change(r)
		return r
	}
	set := func(name, value string) func(*kgo.Record) {
		return func(r *kgo.Record) { r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)}) }
	}
	forged := []*kgo.Record{
		forge(set(headerOwn, "1")),
		forge(set(headerTenant, "globex")),
		forge(set(headerEventID, "other")),
		forge(set(headerContentType, "text/plain")),
		forge(func(r *kgo.Record) { r.Value = l.codec.encode("postrider.target.enabled", []byte("{}")) }),
		forge(func(r *kgo.Record) { r.Value = l.codec.encode(mine.Type, []byte("[]")) }),
		forge(func(r *kgo.Record) { r.Headers = nil }),
	}
	raw(t, url+"events", forged...)
	add(t, l, event("last", "x"))
	got := take(t, reader(t, l), 2, true)
	if got["own"] == nil || got["own"].Type != mine.Type || got["last"] == nil {
		t.Fatalf("got %v", got)
	}
	if n := deadLetters(c, "events-dead"); n != len(forged) {
		t.Errorf("%d dead letters, want %d", n, len(forged))
	}
	other := openEvents(t, url+"events", func(o *EventOptions) { o.OwnKey = bytes.Repeat([]byte{8}, 32) })
	if e, err := other.Read(within(t), mine.Position); err == nil {
		t.Errorf("with another key: %+v", e)
	}
}
