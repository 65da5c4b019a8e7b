package kafka

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/postrider/postrider"
)

// TestCommitsThatLagHoldTheReader: while Kafka takes no offsets, no more is handed out than a crash may make twins of.
func TestCommitsThatLagHoldTheReader(t *testing.T) {
	t.Parallel()
	const events = 4 * maxUncommitted
	c, url := cluster(t, kfake.DefaultNumPartitions(1))
	var refuse atomic.Bool
	refuse.Store(true)
	c.ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		return noCommit(r.(*kmsg.OffsetCommitRequest)), nil, refuse.Load()
	})
	l := openEvents(t, url+"events")
	for i := range events / 100 {
		var list []*postrider.Event
		for j := range 100 {
			list = append(list, event(fmt.Sprintf("e%d-%d", i, j), "x"))
		}
		add(t, l, list...)
	}
	r := reader(t, l)
	seen := drain(t, r)
	if seen == 0 || seen > maxUncommitted {
		t.Errorf("%d events were handed out while nothing was committed, want 1 to %d", seen, maxUncommitted)
	}
	refuse.Store(false)
	take(t, r, events-seen, true)
}

// drain reads and commits until nothing has come for longer than commitWindow.
func drain(t *testing.T, r postrider.EventReader) (seen int) {
	t.Helper()
	for {
		wait := 2 * commitWindow
		if seen == 0 { // the group is being joined
			wait = time.Minute
		}
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		b, err := r.Next(ctx)
		cancel()
		if err != nil {
			return seen
		}
		seen += len(b.Events)
		r.Commit(b)
	}
}

func noCommit(r *kmsg.OffsetCommitRequest) kmsg.Response {
	response := r.ResponseKind().(*kmsg.OffsetCommitResponse)
	for _, topic := range r.Topics {
		answer := kmsg.NewOffsetCommitResponseTopic()
		answer.Topic, answer.TopicID = topic.Topic, topic.TopicID
		for _, partition := range topic.Partitions {
			one := kmsg.NewOffsetCommitResponseTopicPartition()
			one.Partition, one.ErrorCode = partition.Partition, kerr.UnknownServerError.Code
			answer.Partitions = append(answer.Partitions, one)
		}
		response.Topics = append(response.Topics, answer)
	}
	return response
}
