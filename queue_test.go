package postrider_test

import (
	"testing"
	"time"

	"github.com/postrider/postrider"
)

func TestRetryLane(t *testing.T) {
	t.Parallel()
	embedded := postrider.QueueLimits{MaxDelay: time.Hour}
	costly := postrider.QueueLimits{MaxDelay: time.Hour, Gather: time.Millisecond}
	for _, c := range []struct {
		limits postrider.QueueLimits
		wait   time.Duration
		want   postrider.Lane
	}{
		{embedded, 0, postrider.LaneBulk},
		{embedded, time.Hour, postrider.LaneBulk},
		{embedded, time.Hour + 1, postrider.LaneRetry},
		{costly, 0, postrider.LaneRetry},
		{costly, time.Minute, postrider.LaneRetry},
	} {
		if got := c.limits.RetryLane(c.wait); got != c.want {
			t.Errorf("%+v, a wait of %v: %v, not %v", c.limits, c.wait, got, c.want)
		}
	}
}
