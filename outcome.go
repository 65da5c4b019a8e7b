package postrider

import "time"

// OutcomeKind says what an outcome records.
type OutcomeKind uint8

// The kinds.
const (
	OutcomeFanOut  OutcomeKind = iota + 1 // which targets an event went to
	OutcomeAttempt                        // an attempt, and the delivery's state after it
	OutcomeState                          // a state without an attempt: cancelled, exhausted, replayed
)

// EventHead is an event without its payload.
type EventHead struct {
	ID          string
	Type        string
	ContentType string
	AcceptedAt  time.Time
	Position    Position
	Size        int64
}

// Head returns an event's head.
func (e *Event) Head() EventHead {
	return EventHead{ID: e.ID, Type: e.Type, ContentType: e.ContentType, AcceptedAt: e.AcceptedAt, Position: e.Position, Size: e.Payload.Size}
}

// Outcome is one thing that happened. Outcomes are recorded at least once and in no order; a reader merges them (Merge).
type Outcome struct {
	Kind   OutcomeKind
	At     time.Time
	Tenant string
	Event  EventHead

	Targets []int64 // OutcomeFanOut: each has a delivery that is pending
	Off     []int64 // OutcomeFanOut: matched, but off: cancelled, target_off, not queued

	DeliveryID DeliveryID // the other kinds
	TargetID   int64
	Generation int
	Attempts   int // made so far
	State      State
	Reason     Reason
	NextAt     time.Time // when it is due again; zero: not known, or final
	Attempt    *Attempt  // OutcomeAttempt
}

// DeliveryRecord is a delivery as the database shows it.
type DeliveryRecord struct {
	ID         DeliveryID
	Tenant     string
	Event      EventHead
	TargetID   int64
	Generation int
	Attempts   int
	State      State
	Reason     Reason
	NextAt     time.Time
	CreatedAt  time.Time // the event's acceptance
	UpdatedAt  time.Time
}

// rank orders states that meet in one generation: delivered beats every other for good, then the final ones.
func (s State) rank() int {
	switch {
	case s == StateDelivered:
		return 2
	case s.Final():
		return 1
	}
	return 0
}

// Newer reports whether r replaces old: the greater of (generation, delivered > other final > not final, attempts); of
// equals, the one updated later.
func (r *DeliveryRecord) Newer(old *DeliveryRecord) bool {
	switch {
	case r.Generation != old.Generation:
		return r.Generation > old.Generation
	case r.State.rank() != old.State.rank():
		return r.State.rank() > old.State.rank()
	case r.Attempts != old.Attempts:
		return r.Attempts > old.Attempts
	}
	return r.UpdatedAt.After(old.UpdatedAt)
}
