package kafka

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/postrider/postrider"
)

// TestWhatIsReadAgainIsCounted: a partition that is lost before its offsets are committed comes again, and what is handed on a
// second time is told of.
func TestWhatIsReadAgainIsCounted(t *testing.T) {
	t.Parallel()
	c, url := cluster(t, kfake.DefaultNumPartitions(1))
	var refuse, forget atomic.Bool
	c.ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		return noCommit(r.(*kmsg.OffsetCommitRequest)), nil, refuse.Load()
	})
	c.ControlKey(int16(kmsg.Heartbeat), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		response := r.ResponseKind().(*kmsg.HeartbeatResponse)
		response.ErrorCode = kerr.UnknownMemberID.Code
		return response, nil, forget.Swap(false)
	})
	l := openEvents(t, url+"events", func(o *EventOptions) { o.Registerer = prometheus.NewRegistry() })
	r := reader(t, l)
	send := func(from, to int) {
		var list []*postrider.Event
		for n := from; n < to; n++ {
			list = append(list, event(fmt.Sprint("e", n), "x"))
		}
		add(t, l, list...)
	}
	send(0, 10)
	take(t, r, 10, true)
	if err := r.(*eventReader).member.commit(within(t), r.(*eventReader).member.all()); err != nil {
		t.Fatal(err)
	}
	refuse.Store(true)
	send(10, 17)
	take(t, r, 7, true)
	if n := testutil.ToFloat64(l.metrics.again); n != 0 {
		t.Errorf("%v records were read again before any was", n)
	}
	forget.Store(true)
	if ids, _ := takeWithGap(t, r, 7); ids[0] != "e10" {
		t.Errorf("read again from %s", ids[0])
	}
	send(17, 20)
	takeWithGap(t, r, 3)
	if n := testutil.ToFloat64(l.metrics.again); n != 7 {
		t.Errorf("%v records are told to be read again, want 7", n)
	}
}
