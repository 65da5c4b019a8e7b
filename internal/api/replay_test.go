package api_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

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

// TestOneReplayOfAGeneration asks two processes for a replay from many sides before the archive has the first: one is made.
func TestOneReplayOfAGeneration(t *testing.T) {
	t.Parallel()
	queue := &away{}
	var shared api.Options
	s := newServer(t, func(o *api.Options) {
		queue.Queue = o.Queue
		o.Queue, o.Database = queue, &behind{Database: o.Database}
		shared = *o
	})
	second := newServer(t, func(o *api.Options) {
		o.Database, o.Events, o.Queue, o.Outcomes, o.Payloads = shared.Database, shared.Events, shared.Queue, shared.Outcomes, shared.Payloads
	})
	target := s.want(t, 201, "POST", "/webhooks/targets", publicURL).id(t)
	targetID, _ := strconv.ParseInt(target, 10, 64)
	event := s.want(t, 202, "POST", "/webhooks/events?type=a", "x").json(t)["id"].(string)
	path := "/webhooks/deliveries/" + s.delivered(t, "default", event, targetID, postrider.StateExhausted).String() + "/replay"
	queue.gone.Store(true)
	s.want(t, 503, "POST", path, "")
	queue.gone.Store(false)
	statuses := make(chan int)
	for range 6 {
		for _, of := range []*server{s, second} {
			go func() { statuses <- of.do(t, adminKey, "POST", path, "").status }()
		}
	}
	count := map[int]int{}
	for range 12 {
		count[<-statuses]++
	}
	if count[202] != 1 || count[409] != 11 {
		t.Errorf("answers by status: %v", count)
	}
}

// TestReplay: what is not final, or goes to a target that is off, is not replayed; what is replayed is queued once, as of the next generation.
func TestReplay(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	event, target, targetID, id := s.attempted(t)
	path := "/webhooks/deliveries/" + id.String() + "/replay"
	s.want(t, 409, "POST", path, "")
	s.delivered(t, "default", event, targetID, postrider.StateExhausted)
	if m := s.want(t, 202, "POST", path, "").json(t); m["state"] != "pending" {
		t.Errorf("replayed %v", m)
	}
	leases, err := s.db.Queue().Take(t.Context(), postrider.TakeRequest{Lane: postrider.LaneBulk, Credit: 1})
	if err != nil {
		t.Fatal(err)
	}
	queued := leases[0].Pack.Deliveries[0]
	if queued.Generation != 1 || queued.Earlier != 1 || queued.ID != id {
		t.Errorf("queued %+v", queued)
	}
	if _, err := s.db.Database().TurnOff(t.Context(), "default", targetID, "gone", nil); err != nil {
		t.Fatal(err)
	}
	s.cancelled(t, &queued)
	s.want(t, 409, "POST", path, "")
	s.want(t, 200, "POST", "/webhooks/targets/"+target+"/enable", "")
	s.want(t, 202, "POST", path, "")
}

// cancelled records that a delivery ended since its target is off.
func (s *server) cancelled(t *testing.T, d *postrider.Delivery) {
	t.Helper()
	commit, err := s.db.Outcomes(true).Record(t.Context(), []postrider.Outcome{{Kind: postrider.OutcomeState, Tenant: "default",
		At:    time.Now().UTC().Add(time.Second), // of one generation and rank the later counts
		Event: d.Event.Head(), DeliveryID: d.ID, TargetID: d.TargetID, Generation: 1, Attempts: 1, State: postrider.StateCancelled, Reason: postrider.ReasonTargetOff}})
	if err == nil {
		err = commit.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}
