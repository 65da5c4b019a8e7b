package postrider

import "context"

// Checker is implemented by engines that stand on something which can be away: a broker, a queue, a bucket, a server. The
// process asks each engine that is one at intervals and shows the answer in /readyz; no request and no delivery waits for it.
//
// How an engine is opened is part of it: opening answers CodeUnavailable if what it stands on is away, within a bounded
// time, keeps nothing then, and is tried again until it is there; every other error (a refusal, a wrong attribute) ends the
// process. Once open, an engine connects again by itself, and never has to be opened anew.
type Checker interface {
	// Check returns nil if the engine can do its work now, else what is missing: an Error whose Message is shown to
	// whoever can read /readyz, so that it names the thing (the topic, the queue, the bucket) and holds no secret. It asks
	// the thing itself, by one small request that costs next to nothing, changes nothing, and ends with ctx.
	Check(ctx context.Context) error
}
