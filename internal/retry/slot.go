package retry

import (
	"time"

	"github.com/postrider/postrider"
)

// Widths of the buckets that packs are merged in: fine near the due time, coarse far from it.
const (
	fineWidth   = time.Second
	coarseWidth = time.Minute
	fineWithin  = postrider.MaxDelay
)

// slot is when a delivery is due, as a key: 0 is now, a positive number the second at whose end it is due, a negative one the
// minute, if that is more than 15 minutes away.
type slot int64

func slotOf(due, now time.Time) slot {
	switch wait := due.Sub(now); {
	case wait <= 0:
		return 0
	case wait <= fineWithin:
		return slot(due.Add(fineWidth-1).Unix()) + 1
	default:
		return -slot(due.Unix()/int64(coarseWidth/time.Second)) - 1
	}
}

// rectified returns a delivery that the clock makes sense of. If the clock went back since the last attempt, the attempt and
// what is due after it move back too, else the delivery would wait for the clock to come round again; and nothing is due
// later than a retry window can last.
func rectified(d postrider.Delivery, now time.Time) (postrider.Delivery, bool) {
	if ahead := d.LastTry.Sub(now); ahead > 0 && d.Due.After(now) {
		d.LastTry, d.Due = now, d.Due.Add(-ahead)
		return d, true
	}
	if d.Due.Sub(now) > postrider.MaxRetryWindow {
		d.Due = now
		return d, true
	}
	return d, false
}

// delay is how long deliveries that are not due are put back for: until the last of them is due, if they are due within one
// second; else until a minute before the first is, when they go apart.
func delay(deliveries []postrider.Delivery, now time.Time, longest time.Duration) time.Duration {
	first, last := deliveries[0].Due, deliveries[0].Due
	for i := range deliveries {
		if due := deliveries[i].Due; due.Before(first) {
			first = due
		} else if due.After(last) {
			last = due
		}
	}
	wait := last.Sub(now)
	if last.Sub(first) > fineWidth {
		wait = first.Add(-coarseWidth).Sub(now)
	}
	return min(max(wait, 0), longest)
}
