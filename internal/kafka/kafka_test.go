package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/postrider/postrider"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster starts a broker in this process and returns the start of its URL.
func cluster(t *testing.T, opts ...kfake.Opt) (*kfake.Cluster, string) {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.DefaultNumPartitions(2)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, "kafka://" + strings.Join(c.ListenAddrs(), ",") + "/"
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func openEvents(t *testing.T, url string, change ...func(*EventOptions)) *EventLog {
	t.Helper()
	o := EventOptions{URL: url, MaxPayload: 1 << 20, Timeout: 10 * time.Second, Logger: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&o)
	}
	l, err := OpenEvents(within(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func reader(t *testing.T, l *EventLog) postrider.EventReader {
	t.Helper()
	r, err := l.Reader(within(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func add(t *testing.T, l *EventLog, events ...*postrider.Event) {
	t.Helper()
	commit, err := l.Append(within(t), events)
	if err != nil {
		t.Fatal(err)
	}
	if err := commit.Wait(within(t)); err != nil {
		t.Fatal(err)
	}
}

func event(id, payload string) *postrider.Event {
	return &postrider.Event{ID: id, Tenant: "acme", Type: "core.orders.created.v1",
		Payload: postrider.Payload{Size: int64(len(payload)), Bytes: []byte(payload)}}
}

func numbered(n int) (list []*postrider.Event) {
	for i := range n {
		list = append(list, event(fmt.Sprintf("e%d", i), fmt.Sprintf("payload %d", i)))
	}
	return list
}

// take reads until want events came, and commits what it read if asked to.
func take(t *testing.T, r postrider.EventReader, want int, commit bool) map[string]*postrider.Event {
	t.Helper()
	got := make(map[string]*postrider.Event)
	for len(got) < want {
		b, err := r.Next(within(t))
		if err != nil {
			t.Fatalf("after %d of %d events: %v", len(got), want, err)
		}
		for _, e := range b.Events {
			got[e.ID] = e
		}
		if commit {
			r.Commit(b)
		}
	}
	return got
}

func raw(t *testing.T, url string, records ...*kgo.Record) {
	t.Helper()
	at, err := parseURL("events", url)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(at.brokers...), kgo.DefaultProduceTopic(at.topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(within(t), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func eventsComeBackAsTheyWere(t *testing.T, url string) {
	t.Helper()
	l := openEvents(t, url+"events")
	sent := numbered(500)
	sent[0].ContentType, sent[0].Payload.Bytes = "text/plain", []byte{0, 0xff, 0xfe}
	sent[1].ID, sent[2].Payload.Bytes = "", nil
	add(t, l, sent...)
	got := take(t, reader(t, l), len(sent), true)
	for _, want := range sent {
		e := got[want.ID]
		switch {
		case e == nil:
			t.Fatalf("event %q is missing", want.ID)
		case string(e.Payload.Bytes) != string(want.Payload.Bytes) || !e.Payload.InHand():
			t.Fatalf("%s: payload %q, want %q", want.ID, e.Payload.Bytes, want.Payload.Bytes)
		case e.Position != want.Position || !e.AcceptedAt.Equal(want.AcceptedAt):
			t.Fatalf("%s: at %s %v, Append said %s %v", want.ID, e.Position, e.AcceptedAt, want.Position, want.AcceptedAt)
		case e.ContentType != want.ContentType || e.Tenant != want.Tenant || e.Type != want.Type:
			t.Fatalf("%s: %+v, want %+v", want.ID, e, want)
		}
	}
}

func whatIsCommittedIsNotReadAgain(t *testing.T, url string) {
	t.Helper()
	l := openEvents(t, url+"events")
	add(t, l, numbered(50)...)
	first := reader(t, l)
	take(t, first, 50, true)
	more := event("more", "x")
	add(t, l, more)
	take(t, first, 1, false) // in hand and never committed: it must come again
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Next(within(t)); postrider.CodeOf(err) != postrider.CodeGone {
		t.Fatalf("Next after Close: %v", err)
	}
	again := take(t, reader(t, l), 1, true)
	if again["more"] == nil || len(again) != 1 {
		t.Fatalf("read again: %v, want only the one that was not committed", again)
	}
}

func TestDeadLettersHoldUpNothing(t *testing.T) {
	t.Parallel()
	c, url := cluster(t)
	l := openEvents(t, url+"events")
	good := l.codec.encode("a.b", []byte("good"))
	head := func(k, v string) []kgo.RecordHeader { return []kgo.RecordHeader{{Key: k, Value: []byte(v)}} }
	raw(t, url+"events",
		&kgo.Record{Value: []byte("no avro at all")},
		&kgo.Record{Value: append(good[:len(good):len(good)], 1)},
		&kgo.Record{Value: l.codec.encode("no type!", nil)},
		&kgo.Record{Value: l.codec.encode("postrider.target.disabled", nil)},
		&kgo.Record{Value: good, Headers: head(headerEventID, "a.dot")},
		&kgo.Record{Value: good, Headers: head(headerTenant, "a b")},
		&kgo.Record{Value: good, Headers: head(headerContentType, "a\nb")},
		&kgo.Record{Value: []byte{0, 0, 0}},
		&kgo.Record{Value: append([]byte{0, 0, 0, 0, 7}, good...), Headers: head(headerEventID, "framed")},
		&kgo.Record{Value: good, Headers: head(headerEventID, "plain")})
	got := take(t, reader(t, l), 2, true)
	if got["framed"] == nil || got["plain"] == nil || string(got["framed"].Payload.Bytes) != "good" {
		t.Fatalf("got %v", got)
	}
	if dead := deadLetters(c, "events-dead"); dead != 8 {
		t.Fatalf("%d dead letters, want 8", dead)
	}
}

// deadLetters counts what a topic holds.
func deadLetters(c *kfake.Cluster, topic string) (n int) {
	for _, p := range c.PartitionInfos(topic) {
		n += int(p.HighWatermark)
	}
	return n
}

func TestReadByPosition(t *testing.T) {
	t.Parallel()
	c, url := cluster(t, kfake.DefaultNumPartitions(1))
	l := openEvents(t, url+"events?partitions=1")
	sent := numbered(30)
	add(t, l, sent...)
	for _, want := range []*postrider.Event{sent[0], sent[17], sent[29]} {
		e, err := l.Read(within(t), want.Position)
		if err != nil || string(e.Payload.Bytes) != string(want.Payload.Bytes) || e.ID != want.ID {
			t.Fatalf("%s: %+v, %v", want.ID, e, err)
		}
	}
	list, err := l.ReadRange(within(t), sent[3].Position, sent[20].Position, 10)
	if err != nil || len(list) != 10 || list[0].ID != "e3" || list[9].ID != "e12" {
		t.Fatalf("range: %d events, %v", len(list), err)
	}
	for _, bad := range []postrider.Position{"", "x", "0-1", "9-0-1", "0-99999-1", "00-1-1"} {
		if _, err := l.Read(within(t), bad); postrider.CodeOf(err) != postrider.CodeNotFound {
			t.Errorf("position %q: %v", bad, err)
		}
	}
	if err := c.DeleteRecords("events", 0, 10); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Read(within(t), sent[5].Position); postrider.CodeOf(err) != postrider.CodeGone {
		t.Errorf("past the retention: %v", err)
	}
	list, err = l.ReadRange(within(t), sent[5].Position, sent[14].Position, 100)
	if err != nil || len(list) != 5 || list[0].ID != "e10" {
		t.Errorf("range over the retention: %d events, %v", len(list), err)
	}
}

func TestGapIsExplicit(t *testing.T) {
	t.Parallel()
	c, url := cluster(t)
	l := openEvents(t, url+"events?partitions=1")
	add(t, l, numbered(10)...)
	first := reader(t, l)
	take(t, first, 10, true)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	add(t, l, numbered(20)...)
	if err := c.DeleteRecords("events", 0, 15); err != nil {
		t.Fatal(err)
	}
	b, err := reader(t, l).Next(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if b.Gap == nil || b.Gap.Count != 5 || len(b.Events) != 15 {
		t.Fatalf("gap %+v before %d events, want 5 missing before 15", b.Gap, len(b.Events))
	}
}

func tooLargeIsRefusedWhole(t *testing.T, url string) {
	t.Helper()
	l := openEvents(t, url+"events")
	limit := l.Limits().MaxBytes
	_, err := l.Append(within(t), []*postrider.Event{event("a", "x"), event("b", strings.Repeat("x", int(limit)+1))})
	if postrider.CodeOf(err) != postrider.CodeTooLarge {
		t.Fatal(err)
	}
	largest := event("c", strings.Repeat("x", int(limit)))
	add(t, l, largest)
	if got := take(t, reader(t, l), 1, true); got["c"] == nil {
		t.Fatalf("got %v, want the largest alone", got)
	}
}

func partitionsMoveWithoutLoss(t *testing.T, url string) {
	t.Helper()
	l := openEvents(t, url+"events?partitions=4")
	first := reader(t, l)
	add(t, l, numbered(100)...)
	seen := take(t, first, 100, true)
	second := reader(t, l)
	lost := make(chan map[string]*postrider.Event, 2)
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	arrived := make(chan string, 4096)
	for _, r := range []postrider.EventReader{first, second} {
		go func() {
			mine := make(map[string]*postrider.Event)
			defer func() { lost <- mine }()
			for {
				b, err := r.Next(ctx)
				if err != nil {
					return
				}
				for _, e := range b.Events {
					mine[e.ID] = e
					arrived <- e.ID
				}
				r.Commit(b)
			}
		}()
	}
	for i := range 20 {
		var list []*postrider.Event
		for j := range 20 {
			list = append(list, event(fmt.Sprintf("m%d-%d", i, j), "x"))
		}
		add(t, l, list...)
	}
	all := make(map[string]bool)
	for len(all) < 400 {
		select {
		case id := <-arrived:
			if seen[id] == nil {
				all[id] = true
			}
		case <-within(t).Done():
			t.Fatalf("only %d of 400 came", len(all))
		}
	}
	cancel()
	<-lost
	<-lost
}

func TestUnavailableWithinBound(t *testing.T) {
	t.Parallel()
	c, url := cluster(t)
	l := openEvents(t, url+"events", func(o *EventOptions) { o.Timeout = time.Second })
	c.Close()
	commit, err := l.Append(within(t), numbered(1))
	if err == nil {
		err = commit.Wait(within(t))
	}
	if postrider.CodeOf(err) != postrider.CodeUnavailable {
		t.Fatal(err)
	}
	if err := l.Check(within(t)); postrider.CodeOf(err) != postrider.CodeUnavailable {
		t.Fatalf("Check: %v", err)
	}
}
