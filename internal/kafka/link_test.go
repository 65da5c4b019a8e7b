package kafka

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/postrider/postrider"
)

// freePort is a port that nothing listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// untilReady waits until a log is connected.
func untilReady(t *testing.T, l *link) {
	t.Helper()
	select {
	case <-l.ready:
	case <-within(t).Done():
		t.Fatal("not connected", l.check())
	}
}

// A broker that is away at the start is waited for; meanwhile all is refused within a bounded time, and Check says why.
func TestBrokerAwayAtTheStart(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	url := "kafka://127.0.0.1:" + formatInt(int64(port)) + "/"
	events, outcomes := openEvents(t, url+"events"), openOutcomes(t, url+"outcomes")
	if _, err := events.Append(within(t), numbered(1)); postrider.CodeOf(err) != postrider.CodeUnavailable {
		t.Errorf("Append: %v", err)
	}
	if _, err := events.Reader(within(t)); postrider.CodeOf(err) != postrider.CodeUnavailable {
		t.Errorf("Reader: %v", err)
	}
	if _, err := events.Read(within(t), "0-1-2"); postrider.CodeOf(err) != postrider.CodeUnavailable {
		t.Errorf("Read: %v", err)
	}
	if _, err := outcomes.Record(within(t), []postrider.Outcome{fanOut("a", 1)}); postrider.CodeOf(err) != postrider.CodeUnavailable {
		t.Errorf("Record: %v", err)
	}
	for _, err := range []error{events.Check(within(t)), outcomes.Check(within(t))} {
		if postrider.CodeOf(err) != postrider.CodeUnavailable || !strings.Contains(err.Error(), "refused") {
			t.Errorf("Check: %v, want the reason", err)
		}
	}
	cluster(t, kfake.Ports(port))
	untilReady(t, events.link)
	untilReady(t, outcomes.link)
	if err := events.Check(within(t)); err != nil {
		t.Errorf("Check: %v", err)
	}
	add(t, events, numbered(3)...)
	take(t, reader(t, events), 3, true)
	record(t, outcomes, fanOut("a", 1))
}

// A log that never connected closes at once.
func TestCloseWhileAway(t *testing.T) {
	t.Parallel()
	l := openEvents(t, "kafka://127.0.0.1:"+formatInt(int64(freePort(t)))+"/events")
	begun := time.Now()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > firstTry {
		t.Errorf("closing took %v", took)
	}
	if _, err := l.Append(within(t), numbered(1)); postrider.CodeOf(err) != postrider.CodeGone {
		t.Errorf("Append after Close: %v", err)
	}
}

// What a topic takes bounds what is taken, also where it is less than --max-payload.
func TestTopicTakesLess(t *testing.T) {
	t.Parallel()
	_, url := cluster(t, kfake.BrokerConfigs(map[string]string{"message.max.bytes": "200000"}))
	small := openEvents(t, url+"events", func(o *EventOptions) { o.MaxPayload = 100_000 }) // makes the topic
	if limit := small.Limits().MaxBytes; limit != 100_000 {
		t.Errorf("limit %d", limit)
	}
	l := openEvents(t, url+"events")
	limit := l.Limits().MaxBytes
	if limit >= 1<<20 || limit < 50_000 {
		t.Fatalf("limit %d of a topic that takes 116,384 bytes", limit)
	}
	_, err := l.Append(within(t), []*postrider.Event{event("a", strings.Repeat("x", int(limit)+1))})
	if postrider.CodeOf(err) != postrider.CodeTooLarge {
		t.Errorf("over the limit: %v", err)
	}
	add(t, l, event("b", strings.Repeat("x", int(limit))))
}
