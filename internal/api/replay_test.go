package api_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/api"
)

// behind is a database whose archive does not catch up: deliveries stay as they were.
type behind struct {
	postrider.Database
	was atomic.Pointer[postrider.DeliveryRecord]
}

func (b *behind) Delivery(ctx context.Context, tenant string, id postrider.DeliveryID) (*postrider.DeliveryRecord, error) {
	if b.was.Load() == nil {
		r, err := b.Database.Delivery(ctx, tenant, id)
		if err != nil {
			return nil, err
		}
		b.was.CompareAndSwap(nil, r)
	}
	r := *b.was.Load()
	return &r, nil
}

// away is a queue that takes nothing while it is away.
type away struct {
	postrider.Queue
	gone atomic.Bool
}

func (a *away) Put(ctx context.Context, items ...postrider.Item) (*postrider.Commit, error) {
	if a.gone.Load() {
		return nil, postrider.Errorf(postrider.CodeUnavailable, "the queue is away")
	}
	return a.Queue.Put(ctx, items...)
}

// TestOneReplayOfAGeneration asks for a replay from many sides before the archive has the first: one is made.
func TestOneReplayOfAGeneration(t *testing.T) {
	t.Parallel()
	queue := &away{}
	s := newServer(t, func(o *api.Options) {
		queue.Queue = o.Queue
		o.Queue, o.Database = queue, &behind{Database: o.Database}
	})
	target := s.want(t, 201, "POST", "/webhooks/targets", publicURL).id(t)
	targetID, _ := strconv.ParseInt(target, 10, 64)
	event := s.want(t, 202, "POST", "/webhooks/events?type=a", "x").json(t)["id"].(string)
	path := "/webhooks/deliveries/" + s.delivered(t, "default", event, targetID, postrider.StateExhausted).String() + "/replay"
	queue.gone.Store(true)
	s.want(t, 503, "POST", path, "")
	queue.gone.Store(false)
	statuses := make(chan int)
	for range 12 {
		go func() { statuses <- s.do(t, adminKey, "POST", path, "").status }()
	}
	count := map[int]int{}
	for range 12 {
		count[<-statuses]++
	}
	if count[202] != 1 || count[409] != 11 {
		t.Errorf("answers by status: %v", count)
	}
}
