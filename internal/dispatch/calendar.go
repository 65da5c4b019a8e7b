package dispatch

import "time"

// calendar spreads what is put off without a slot of its own, so that no more than comeBack of a dispatcher's deliveries come back in
// a second: a small backlog soon, a large one over as long as it takes. Without it a backlog would circle as fast as it can be put off.
type calendar struct {
	first  int64 // the second that the counts begin with
	counts [calendarSeconds]int32
	over   time.Duration // where in the second half of the reach the next one lies that finds no second with room
}

const (
	comeBack        = 500 // a second
	calendarSeconds = int64(mostReach/time.Second) + 1
)

// place takes a place at a time or after it, at most mostReach from now.
func (c *calendar) place(now, earliest time.Time) time.Time {
	c.turn(now.Unix())
	for second := max(earliest.Unix(), c.first); second < c.first+calendarSeconds-1; second++ {
		if n := &c.counts[second%calendarSeconds]; *n < comeBack {
			*n++
			at := time.Unix(second, 0).Add(time.Duration(*n) * time.Second / comeBack)
			if at.Before(earliest) {
				return earliest
			}
			return at
		}
	}
	c.over = (c.over + time.Second/comeBack) % (mostReach / 2)
	return now.Add(mostReach/2 + c.over)
}

// note counts what comes back at a time that is its own.
func (c *calendar) note(now, at time.Time) {
	c.turn(now.Unix())
	if second := at.Unix(); second >= c.first && second < c.first+calendarSeconds {
		c.counts[second%calendarSeconds]++
	}
}

// turn forgets the seconds before one.
func (c *calendar) turn(second int64) {
	if second-c.first >= calendarSeconds || second < c.first { // it is long ago, or the clock was set back
		*c = calendar{first: second, over: c.over}
		return
	}
	for ; c.first < second; c.first++ {
		c.counts[c.first%calendarSeconds] = 0
	}
}
