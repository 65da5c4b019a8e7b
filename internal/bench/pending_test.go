package bench

import (
	"context"
	"testing"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/slot"
)

// managed is a queue whose retry manager hands on at once what is put away.
type managed struct {
	postrider.Queue
	items   []postrider.Item
	settled int
}

func (q *managed) Limits() postrider.QueueLimits {
	return postrider.QueueLimits{MaxDelay: postrider.MaxDelay}
}

func (q *managed) Put(_ context.Context, items ...postrider.Item) (*postrider.Commit, error) {
	q.items = append(q.items, items...)
	return postrider.Committed(), nil
}

func (q *managed) Take(ctx context.Context, _ postrider.TakeRequest) ([]*postrider.Lease, error) {
	if len(q.items) == 0 {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	l := &postrider.Lease{Item: q.items[0]}
	q.items = q.items[1:]
	return []*postrider.Lease{l, l}, nil // with a twin
}

func (q *managed) Settle(context.Context, *postrider.Lease, ...postrider.Item) (*postrider.Commit, error) {
	q.settled++
	return postrider.Committed(), nil
}

func TestPiles(t *testing.T) {
	t.Parallel()
	const n = 1010
	for _, p := range piles {
		q := &managed{}
		due := time.Now().Add(-time.Minute)
		messages, err := p.put(t.Context(), q, n, due)
		if err != nil || messages != (n+p.pack-1)/p.pack || messages != len(q.items) {
			t.Fatalf("%s: %d messages, %d put, %v", p.name, messages, len(q.items), err)
		}
		for _, item := range q.items {
			checkPack(t, p, item)
		}
		got, err := p.take(t.Context(), q, n)
		if err != nil || got.deliveries != n || got.late < time.Minute-p.over || q.settled != 2*messages {
			t.Errorf("%s: took %+v, settled %d of %d, %v", p.name, got, q.settled, messages, err)
		}
	}
}

// checkPack: a pack is one that the retry manager keeps together.
func checkPack(t *testing.T, p pile, item postrider.Item) {
	t.Helper()
	now := time.Now()
	first := item.Pack.Deliveries[0]
	for _, d := range item.Pack.Deliveries {
		if d.TargetID != first.TargetID || slot.Of(d.Due, now) != slot.Of(first.Due, now) || d.TargetID > int64(p.targets) || d.Event.Payload.Inline() != p.inline {
			t.Errorf("%s: %+v in a pack of %+v", p.name, d, first)
		}
	}
	if item.Lane != postrider.LaneRetry || item.Delay > postrider.MaxDelay {
		t.Errorf("%s: put into %s for %v", p.name, item.Lane, item.Delay)
	}
}

func TestUsual(t *testing.T) {
	t.Parallel()
	list := usual(7, 3)
	if len(list) != 6 {
		t.Fatalf("%d outcomes", len(list))
	}
	for i := 0; i < len(list); i += 2 {
		fan, attempt := list[i], list[i+1]
		if fan.Kind != postrider.OutcomeFanOut || attempt.Kind != postrider.OutcomeAttempt || fan.Event.ID != attempt.Event.ID ||
			fan.Event.ID != usualID(7+i/2) || fan.Targets[0] != attempt.TargetID || attempt.State != postrider.StateDelivered {
			t.Errorf("%+v\n%+v", fan, attempt)
		}
	}
	if usualID(9) >= usualID(10) || usualID(99_999) >= usualID(100_000) {
		t.Error("ids are not in the order of their numbers")
	}
}
