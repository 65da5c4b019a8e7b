package kafka

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider"
)

// makeAnew deletes a topic and makes it again, with one partition.
func makeAnew(t *testing.T, l *EventLog, topic string) {
	t.Helper()
	ctx := within(t)
	if _, err := l.adm.DeleteTopic(ctx, topic); err != nil {
		t.Fatal(err)
	}
	for {
		_, err := l.adm.CreateTopic(ctx, 1, 1, nil, topic)
		if err == nil {
			break
		}
		if !errors.Is(err, kerr.TopicAlreadyExists) || ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	for { // a broker may know the former one a little longer
		err := checkTopic(ctx, l.adm, topic)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

// addSoon repeats an append that a topic's change has failed.
func addSoon(t *testing.T, l *EventLog, events ...*postrider.Event) {
	t.Helper()
	ctx := within(t)
	for {
		commit, err := l.Append(ctx, events)
		if err == nil {
			err = commit.Wait(ctx)
		}
		if err == nil {
			return
		}
		if postrider.CodeOf(err) != postrider.CodeUnavailable || ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

// takeWithGap reads until want events came, and returns the gaps met.
func takeWithGap(t *testing.T, r postrider.EventReader, want int) (ids []string, gaps []*postrider.Gap) {
	t.Helper()
	ctx := within(t)
	for len(ids) < want {
		b, err := r.Next(ctx)
		if postrider.CodeOf(err) == postrider.CodeUnavailable {
			continue
		}
		if err != nil {
			t.Fatalf("after %v: %v", ids, err)
		}
		if b.Gap != nil {
			gaps = append(gaps, b.Gap)
		}
		for _, e := range b.Events {
			ids = append(ids, e.ID)
		}
		r.Commit(b)
	}
	return ids, gaps
}

// topicMadeAnewUnderReader: both the producer and the reader take up the new topic; the reader begins at its beginning, says
// so, and goes on from there after a restart.
func topicMadeAnewUnderReader(t *testing.T, url string) {
	t.Helper()
	l := openEvents(t, url+"events?partitions=1", func(o *EventOptions) { o.Timeout = 0 })
	r := reader(t, l)
	old := numbered(10)
	add(t, l, old...)
	take(t, r, 10, true)
	makeAnew(t, l, l.at.topic)
	addSoon(t, l, event("new-0", "x"))
	addSoon(t, l, event("new-1", "x"))
	ids, gaps := takeWithGap(t, r, 2)
	if len(ids) != 2 || ids[0] != "new-0" || ids[1] != "new-1" {
		t.Errorf("read %v", ids)
	}
	if len(gaps) != 1 || gaps[0].Count != -1 || !strings.HasPrefix(string(gaps[0].From), "0-10-") {
		t.Errorf("gaps %+v, want one of unknown size from offset 10", gaps)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	add(t, l, event("new-2", "x"))
	if ids, gaps := takeWithGap(t, reader(t, l), 1); ids[0] != "new-2" || len(gaps) != 0 {
		t.Errorf("after a restart: %v, gaps %v", ids, gaps)
	}
	if _, err := l.Read(within(t), old[1].Position); postrider.CodeOf(err) != postrider.CodeGone {
		t.Errorf("an event of the former topic: %v", err)
	}
}

// topicMadeAnewMeanwhile: nobody read when the topic was made anew, and it has more records than the one before had: none is
// skipped.
func topicMadeAnewMeanwhile(t *testing.T, url string) {
	t.Helper()
	l := openEvents(t, url+"events?partitions=1")
	add(t, l, numbered(5)...)
	r := reader(t, l)
	take(t, r, 5, true)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	makeAnew(t, l, l.at.topic)
	for i, e := range numbered(8) {
		e.ID = "new-" + formatInt(int64(i))
		addSoon(t, l, e)
	}
	ids, _ := takeWithGap(t, reader(t, l), 8)
	if ids[0] != "new-0" || ids[7] != "new-7" {
		t.Errorf("read %v, want all of the new topic", ids)
	}
}

// A gap is written to the dead-letter topic.
func TestGapIsRecorded(t *testing.T) {
	t.Parallel()
	c, url := cluster(t)
	l := openEvents(t, url+"events?partitions=1")
	add(t, l, numbered(10)...)
	r := reader(t, l)
	take(t, r, 10, true)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	add(t, l, numbered(4)...)
	if err := c.DeleteRecords("events", 0, 12); err != nil {
		t.Fatal(err)
	}
	take(t, reader(t, l), 2, true)
	if n := deadLetters(c, "events-dead"); n != 1 {
		t.Errorf("%d dead letters, want one that tells of the gap", n)
	}
}

// startAtLatest begins a new group at the end, and keeps that place.
func startAtLatest(t *testing.T, url string) {
	t.Helper()
	l := openEvents(t, url+"events?partitions=1&start=latest")
	add(t, l, numbered(5)...)
	r := reader(t, l)
	m := r.(*eventReader).member
	for ctx := within(t); ; { // until the group has the offset at which it began; a broker that is new looks for its coordinator first
		all, err := m.admin.FetchOffsets(ctx, m.group)
		if at, ok := all.Lookup(m.topic, 0); ok && at.At == 5 {
			break
		}
		if ctx.Err() != nil || err != nil && !errors.Is(err, kerr.GroupIDNotFound) && !transient(err) {
			t.Fatalf("the offset is not committed: %v", err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	add(t, l, event("after", "x"))
	if ids, _ := takeWithGap(t, reader(t, l), 1); ids[0] != "after" {
		t.Errorf("read %v, want what came after the group began", ids)
	}
}

// A dead-letter topic that has gone holds up the partition that needs it until it is there again, and no other.
func deadLetterTopicGone(t *testing.T, url string) {
	t.Helper()
	l := openEvents(t, url+"events?partitions=2")
	if _, err := l.adm.DeleteTopic(within(t), l.at.dead); err != nil {
		t.Fatal(err)
	}
	good := func(id string) *kgo.Record {
		return &kgo.Record{Value: l.codec.encode("a.b", nil), Headers: []kgo.RecordHeader{{Key: headerEventID, Value: []byte(id)}}}
	}
	on := func(partition int32, r *kgo.Record) *kgo.Record { r.Partition = partition; return r }
	raw(t, url+"events", on(0, good("before")), on(0, &kgo.Record{Value: []byte("no avro")}), on(0, good("behind")), on(1, good("aside")))
	ids, _ := takeWithGap(t, reader(t, l), 3)
	for _, want := range []string{"before", "behind", "aside"} {
		if !strings.Contains(strings.Join(ids, " "), want) {
			t.Errorf("read %v; %s is missing", ids, want)
		}
	}
	for ctx := within(t); ; { // the client may remember the former topic a little longer
		ends, err := l.adm.ListEndOffsets(ctx, l.at.dead)
		written := int64(0)
		ends.Each(func(o kadm.ListedOffset) { written += max(o.Offset, 0) })
		if err == nil && ends.Error() == nil && written == 1 {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%d dead letters, want 1; %v, %v", written, err, ends.Error())
		}
	}
}
