package dispatch

import (
	"testing"
	"time"
)

// TestCalendarSpreadsWhatComesBack: no second has too many, nothing comes before its time, and once a quarter of an hour is full the
// rest is spread.
func TestCalendarSpreadsWhatComesBack(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 500)
	var c calendar
	seconds := make(map[int64]int)
	c.note(now, now.Add(5*time.Second))
	seconds[now.Add(5*time.Second).Unix()]++
	for i := range comeBack * 300 {
		earliest := now.Add(time.Second)
		at := c.place(now, earliest)
		if at.Before(earliest) || at.Sub(now) > 303*time.Second {
			t.Fatalf("number %d comes back in %v", i, at.Sub(now))
		}
		seconds[at.Unix()]++
	}
	for second, n := range seconds {
		if n > comeBack+comeBack/100 {
			t.Errorf("%d come back in second %d", n, second-now.Unix())
		}
	}
	for range comeBack * 1000 {
		if at := c.place(now, now.Add(time.Second)); at.Sub(now) > mostReach || !at.After(now) {
			t.Fatalf("one comes back in %v", at.Sub(now))
		}
	}
}

func TestCalendarForgetsWhatIsPast(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	var c calendar
	for range comeBack * 2 {
		c.place(now, now)
	}
	for _, later := range []time.Duration{10 * time.Second, time.Hour, time.Minute} { // the last is a clock that was set back
		then := now.Add(later)
		if at := c.place(then, then); at.Sub(then) > time.Second {
			t.Errorf("after %v one comes back in %v", later, at.Sub(then))
		}
	}
}
