package kafka

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A registry that is down stops only what needs it: records whose schema is known, records before the one that waits, and
// other partitions go on; what waits comes once the registry answers.
func TestRegistryDownStopsOnlyWhatNeedsIt(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	var asked atomic.Int64
	_, url := cluster(t)
	l := openEvents(t, url+"events?partitions=2&registry="+testRegistry(t, &away, &asked))
	away.Store(true)
	body, err := avro.MustParse(evolvedText).Encode(&evolved{Payload: "hello", EventType: "a.b"})
	if err != nil {
		t.Fatal(err)
	}
	on := func(partition int32, id string, value []byte) *kgo.Record {
		return &kgo.Record{Partition: partition, Value: value, Headers: []kgo.RecordHeader{{Key: headerEventID, Value: []byte(id)}}}
	}
	bare := l.codec.encode("a.b", []byte("bare"))
	raw(t, url+"events", on(0, "before", bare), on(0, "framed", framed(7, body)), on(0, "behind", bare), on(1, "aside", bare))
	r := reader(t, l)
	got := take(t, r, 2, true)
	if got["before"] == nil || got["aside"] == nil {
		t.Fatalf("while the registry is down: %v", got)
	}
	ctx := within(t)
	for testutil.ToFloat64(l.metrics.held) != 1 {
		if !pauseFor(ctx, 5*time.Millisecond) {
			t.Fatal("the partition is not shown as held")
		}
	}
	raw(t, url+"events", on(1, "later", bare))
	if got := take(t, r, 1, true); got["later"] == nil {
		t.Fatalf("the other partition: %v", got)
	}
	away.Store(false)
	if got := take(t, r, 2, true); got["framed"] == nil || string(got["framed"].Payload.Bytes) != "hello" || got["behind"] == nil {
		t.Fatalf("once the registry answers: %v", got)
	}
	away.Store(true) // what is known is kept
	raw(t, url+"events", on(0, "again", framed(7, body)))
	if got := take(t, r, 1, true); got["again"] == nil {
		t.Fatalf("a schema that is known: %v", got)
	}
	if n := testutil.ToFloat64(l.metrics.held); n != 0 {
		t.Errorf("%v partitions held at the end", n)
	}
}
