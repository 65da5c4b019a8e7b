package kafka

import (
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
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
