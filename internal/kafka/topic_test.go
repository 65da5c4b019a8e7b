package kafka

import (
	"bytes"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestTopicKnownLater opens a log whose topic another process has just made: brokers deny it for a while, as real ones do.
func TestTopicKnownLater(t *testing.T) {
	t.Parallel()
	c, broker := cluster(t, kfake.SeedTopics(1, "outcomes"))
	var denials atomic.Int32
	denials.Store(4)
	c.ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		asked := r.(*kmsg.MetadataRequest)
		if len(asked.Topics) != 1 || denials.Add(-1) < 0 {
			return nil, nil, false
		}
		answer := asked.ResponseKind().(*kmsg.MetadataResponse)
		one := kmsg.NewMetadataResponseTopic()
		one.Topic, one.ErrorCode = asked.Topics[0].Topic, kerr.UnknownTopicOrPartition.Code
		answer.Topics = append(answer.Topics, one)
		return answer, nil, true
	})
	l := openOutcomes(t, broker+"outcomes")
	if err := l.Check(within(t)); err != nil {
		t.Fatal(err)
	}
	if denials.Load() >= 0 {
		t.Error("the log was opened while the topic was denied")
	}
}

// TestRetentionOfTopics: topics that are made get the retention that is set, those that are there keep theirs, and it is told
// if that is shorter.
func TestRetentionOfTopics(t *testing.T) {
	t.Parallel()
	c, broker := cluster(t, kfake.SeedTopics(1, "there"))
	var logged bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&logged, nil))
	for _, topic := range []string{"made", "there"} {
		l, err := OpenEvents(within(t), EventOptions{URL: broker + topic, Retention: 300 * 24 * time.Hour, Logger: logger})
		if err != nil {
			t.Fatal(err)
		}
		untilReady(t, l.link)
		l.Close()
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	info := topicInfo{}
	if err := info.describe(within(t), newAdmin(client), "made"); err != nil || info.retention != 300*24*time.Hour {
		t.Errorf("a topic that was made keeps its records for %v, %v", info.retention, err)
	}
	if text := logged.String(); strings.Contains(text, "topic=made") || !strings.Contains(text, "topic=there") || !strings.Contains(text, "event-retention") {
		t.Errorf("logged %q", text)
	}
}
