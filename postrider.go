// Package postrider is the domain of a webhook delivery system: its words, its rules, and the five seams behind which
// the engines stand.
//
// An application publishes an [Event]. The consumer finds every [Target] with an active [Subscription] whose [Filter]
// matches the event's type, and queues one [Delivery] for each. A dispatcher sends a delivery as a signed HTTP POST; each
// try is an [Attempt]. What fails is tried again until the retry window ends. Everything that happens is recorded as an
// [Outcome], from which the archiver makes the deliveries that the API shows.
//
// The seams are [EventLog], [Queue], [PayloadStore], [OutcomeLog] and [Database]. Roles know only them; engines implement
// them; internal/app binds one to the other by URL. The contract of each stands in its comments and is held by a
// conformance suite (internal/eventstest, queuetest, payloadstest, outcomestest, databasetest) that every engine passes.
//
// The package uses the standard library only.
package postrider

import "time"

// Clock tells the wall time. Roles take it as a parameter, so that a simulation can make it jump; what they wait for,
// they wait for on timers, which go by the monotonic clock.
type Clock func() time.Time

// MaxDelay is the longest delay that every [Queue] takes. A queue may take more (see [QueueLimits]).
const MaxDelay = 15 * time.Minute
