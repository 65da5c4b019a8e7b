package retry

import (
	"time"

	"github.com/postrider/postrider"
)

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
