// Package slot says which waiting deliveries share an item of the queue, and when they come back. Dispatchers, which put them,
// and retry managers, which put them back, go by the same rules, so that packs of one target and time meet and are merged.
package slot

import (
	"encoding/binary"
	"hash/fnv"
	"time"

	"github.com/postrider/postrider"
)

// Widths of the slots: fine near the due time, coarse far from it.
const (
	FineWidth   = time.Second
	CoarseWidth = time.Minute
	FineWithin  = postrider.MaxDelay
)

// Slot is when a delivery is due: 0 is now, a positive number the second at whose end it is due, a negative one the minute, if
// that is more than 15 minutes away. Deliveries of one target share an item if their slots are equal.
type Slot int64

// Of returns the slot of a due time.
func Of(due, now time.Time) Slot {
	if due.Sub(now) > FineWithin {
		return -Slot(due.Unix()/int64(CoarseWidth/time.Second)) - 1
	}
	return Fine(due, now)
}

// Fine returns the slot of a due time among such as are a second wide, however far away it is.
func Fine(due, now time.Time) Slot {
	if !due.After(now) {
		return 0
	}
	return Slot(due.Add(FineWidth-1).Unix()) + 1
}

// Delay is how long deliveries of one slot, at least one, are put away for, at most the longest delay of the queue: until its lead
// before the last of them is due, if they are due within one second; else until a minute before the first is, when they go apart.
//
// What would be longer than the longest is made shorter, at most by half, so that whatever has one target and minute comes back at
// the same second, whenever it was put: there it meets and is merged, and from then on goes round together.
func Delay(deliveries []postrider.Delivery, now time.Time, limits *postrider.QueueLimits) time.Duration {
	first, last := span(deliveries)
	wait := last.Sub(now) - limits.Lead
	if last.Sub(first) > FineWidth {
		wait = first.Add(-CoarseWidth).Sub(now)
	}
	if wait <= limits.MaxDelay {
		return max(wait, 0)
	}
	return meeting(deliveries[0].TargetID, first, now, limits.MaxDelay)
}

// Left reports whether deliveries of one slot, at least one, go on: they are due, or will be within the queue's lead. They go with a
// delay of wait, until the last of them is due. One step more than the lead counts as it, lest what a clock that differs a little
// brought back too early goes round once more.
func Left(deliveries []postrider.Delivery, now time.Time, limits *postrider.QueueLimits) (wait time.Duration, goes bool) {
	_, last := span(deliveries)
	within := time.Duration(0)
	if limits.Lead > 0 {
		within = limits.Lead + limits.Step
	}
	wait = max(last.Sub(now), 0)
	return wait, wait <= within
}

// Place tells in which lane deliveries of one slot, at least one, are put away, and for how long. On a queue with a lead a full pack whose
// time the queue can wait for waits in LaneBulk: no retry manager could merge it with anything, and all that it would do costs.
func Place(deliveries []postrider.Delivery, now time.Time, limits *postrider.QueueLimits) (postrider.Lane, time.Duration) {
	first, last := span(deliveries)
	if wait := last.Sub(now); limits.Lead > 0 && last.Sub(first) <= FineWidth && wait <= limits.MaxDelay && full(deliveries) {
		return postrider.LaneBulk, max(wait, 0)
	}
	return postrider.LaneRetry, Delay(deliveries, now, limits)
}

// full reports whether nothing more goes into a pack, whose deliveries of one event follow one another.
func full(deliveries []postrider.Delivery) bool {
	inline := 0
	for i := range deliveries {
		if e := deliveries[i].Event; e != nil && e.Payload.Inline() && (i == 0 || e != deliveries[i-1].Event) {
			inline++
		}
	}
	return len(deliveries) >= postrider.MaxPackTargets || inline >= postrider.MaxPackEvents
}

// span is when the first and the last of deliveries are due.
func span(deliveries []postrider.Delivery) (first, last time.Time) {
	first, last = deliveries[0].Due, deliveries[0].Due
	for i := range deliveries {
		if due := deliveries[i].Due; due.Before(first) {
			first = due
		} else if due.After(last) {
			last = due
		}
	}
	return first, last
}

// meeting is the time until the last second within longest in which a target's deliveries of a minute meet.
func meeting(target int64, due, now time.Time, longest time.Duration) time.Duration {
	period := int64(longest / (2 * time.Second))
	if period < 1 {
		return longest
	}
	var key [16]byte
	binary.LittleEndian.PutUint64(key[:], uint64(target))
	binary.LittleEndian.PutUint64(key[8:], uint64(due.Unix()/int64(CoarseWidth/time.Second)))
	h := fnv.New64a()
	_, _ = h.Write(key[:]) // a hash never fails to write
	phase := int64(h.Sum64() % uint64(period))
	latest := now.Add(longest).Unix()
	return time.Unix(latest-((latest-phase)%period+period)%period, 0).Sub(now)
}
