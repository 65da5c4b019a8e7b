package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/postrider/postrider"
)

// replayMemory is how long a replay stands in the way of another of the same generation: longer than the archive lags but for an outage.
const replayMemory = 10 * time.Minute

// replayDelivery makes a new generation of a final delivery: the same event, a new window, attempts numbered on. It is put
// into the queue first and recorded then: a crash between the two sends without a record of the replay, but loses nothing. Nothing is
// sent of one that the queue does not keep: its attempts would be recorded, and nobody would go on with it.
func replayDelivery(c *call) error {
	r, err := c.delivery()
	if err != nil {
		return err
	}
	if err := c.nothing(); err != nil {
		return err
	}
	ctx := c.r.Context()
	if !r.State.Final() {
		return postrider.Errorf(postrider.CodeConflict, "the delivery is %s: only one that has ended can be replayed", r.State)
	}
	target, err := c.api.Database.Target(ctx, c.tenant, r.TargetID)
	if postrider.CodeOf(err) == postrider.CodeNotFound {
		return postrider.Errorf(postrider.CodeConflict, "the delivery's target was deleted")
	}
	if err != nil {
		return err
	}
	if target.State == postrider.TargetOff {
		return postrider.Errorf(postrider.CodeConflict, "the target is off (%s): enable it first", target.StateReason)
	}
	event, err := c.original(ctx, r)
	if err != nil {
		return err
	}
	generation := r.Generation
	free, err := c.api.Database.BeginReplay(ctx, r.ID, generation, c.api.Clock().Add(replayMemory))
	if err != nil {
		return err
	}
	if !free {
		return postrider.Errorf(postrider.CodeConflict, "the delivery is being replayed")
	}
	if err := c.replay(ctx, r, event); err != nil {
		return errors.Join(err, c.api.Database.ForgetReplay(context.WithoutCancel(ctx), r.ID, generation))
	}
	return c.answer(http.StatusAccepted, viewDelivery(r))
}

// original reads the event as it was published.
func (c *call) original(ctx context.Context, r *postrider.DeliveryRecord) (*postrider.Event, error) {
	event, err := c.api.Events.Read(ctx, r.Event.Position)
	switch code := postrider.CodeOf(err); {
	case code == postrider.CodeGone || code == postrider.CodeNotFound:
		return nil, postrider.Errorf(postrider.CodeGone, "the event is past the log's retention and can't be replayed")
	case code == postrider.CodeMalformed:
		return nil, postrider.Errorf(postrider.CodeGone, "the event is damaged in the log and can't be replayed")
	case err != nil:
		return nil, err
	case event.ID != r.Event.ID || event.Tenant != r.Tenant:
		return nil, postrider.Errorf(postrider.CodeGone, "the event is no longer at its position and can't be replayed")
	}
	return event, nil
}

// replay queues the new generation and records it; r is then what the record says.
func (c *call) replay(ctx context.Context, r *postrider.DeliveryRecord, event *postrider.Event) error {
	version, err := c.api.Database.Version(ctx)
	if err != nil {
		return err
	}
	now := c.api.Clock().UTC()
	r.Generation++
	r.State, r.Reason, r.UpdatedAt = postrider.StatePending, "", now
	if limits := c.api.Events.Limits(); limits.CheapRead {
		event.Payload.Log = true
	}
	item := postrider.Item{Lane: postrider.LaneBulk, Durable: true, Pack: &postrider.Pack{Tenant: r.Tenant, Deliveries: []postrider.Delivery{{
		ID: r.ID, Event: event, TargetID: r.TargetID, Version: version, Attempts: r.Attempts, Generation: r.Generation, Earlier: r.Attempts, Start: now,
	}}}}
	if !c.api.Queue.Fits(&item) {
		if err := c.store(ctx, event); err != nil {
			return err
		}
	}
	put, err := c.api.Queue.Put(ctx, item)
	if err != nil {
		return err
	}
	if err := put.Wait(ctx); err != nil {
		return err
	}
	record, err := c.api.Outcomes.Record(ctx, []postrider.Outcome{{Kind: postrider.OutcomeState, At: now, Tenant: r.Tenant, Event: r.Event, DeliveryID: r.ID,
		TargetID: r.TargetID, Generation: r.Generation, Attempts: r.Attempts, State: postrider.StatePending}})
	if err != nil {
		return err
	}
	return record.Wait(ctx)
}
