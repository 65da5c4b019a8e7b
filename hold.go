package postrider

import "time"

// HoldReason says why a target's deliveries wait.
type HoldReason string

// The reasons.
const (
	HoldLimited  HoldReason = "limited" // over its concurrency, its rate, or its tenant's share
	HoldBreaker  HoldReason = "breaker"
	HoldUnproven HoldReason = "unproven"
)

// Hold says that a target's deliveries wait. Dispatchers publish their holds to the database, outside the feed, once they
// last over 1 s; deliveries of such a target that are not final show as deferred.
type Hold struct {
	TargetID int64
	Reason   HoldReason
	Since    time.Time
	Until    time.Time // it counts until then, unless it is published again
}
