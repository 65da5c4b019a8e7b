package postrider

// Folded is what a batch of outcomes says of one delivery.
type Folded struct {
	Record   DeliveryRecord
	Attempts []Attempt // in the order they came; a number may be there twice (a twin)
}

// Fold makes of a batch of outcomes one Folded a delivery, in the order in which the deliveries first appear, and returns
// the fan-outs apart. So the usual course, fan-out and success in one batch, is one row.
func Fold(outcomes []Outcome) (folded []Folded, fanOuts []*Outcome) {
	index := make(map[DeliveryID]int, len(outcomes))
	add := func(r DeliveryRecord, a *Attempt) {
		i, seen := index[r.ID]
		if !seen {
			i = len(folded)
			index[r.ID] = i
			folded = append(folded, Folded{Record: r})
		} else if r.Newer(&folded[i].Record) {
			folded[i].Record = r
		}
		if a != nil {
			folded[i].Attempts = append(folded[i].Attempts, *a)
		}
	}
	for i := range outcomes {
		o := &outcomes[i]
		if o.Kind != OutcomeFanOut {
			add(o.Record(), o.Attempt)
			continue
		}
		fanOuts = append(fanOuts, o)
		for _, r := range o.FanOutRecords() {
			add(r, nil)
		}
	}
	return folded, fanOuts
}

// Record is what an outcome of one delivery says of it.
func (o *Outcome) Record() DeliveryRecord {
	return DeliveryRecord{ID: o.DeliveryID, Tenant: o.Tenant, Event: o.Event, TargetID: o.TargetID, Generation: o.Generation,
		Attempts: o.Attempts, State: o.State, Reason: o.Reason, NextAt: o.NextAt, CreatedAt: o.Event.AcceptedAt, UpdatedAt: o.At}
}

// FanOutRecords are the deliveries of a fan-out: pending, or cancelled because the target is off.
func (o *Outcome) FanOutRecords() []DeliveryRecord {
	event := Event{ID: o.Event.ID, Tenant: o.Tenant, Position: o.Event.Position, AcceptedAt: o.Event.AcceptedAt}
	records := make([]DeliveryRecord, 0, len(o.Targets)+len(o.Off))
	for _, part := range []struct {
		targets []int64
		state   State
		reason  Reason
	}{{o.Targets, StatePending, ""}, {o.Off, StateCancelled, ReasonTargetOff}} {
		for _, target := range part.targets {
			records = append(records, DeliveryRecord{ID: NewDeliveryID(&event, target), Tenant: o.Tenant, Event: o.Event, TargetID: target,
				State: part.state, Reason: part.reason, CreatedAt: o.Event.AcceptedAt, UpdatedAt: o.At})
		}
	}
	return records
}
