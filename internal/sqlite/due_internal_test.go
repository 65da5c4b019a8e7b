package sqlite

import (
	"testing"
	"time"
)

// TestNothingIsDueEarly holds what is put with a delay back until all of it is over: an item that came a fraction of a
// millisecond early was put back at once, again and again.
func TestNothingIsDueEarly(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1000).Add(700 * time.Microsecond)
	for delay, want := range map[time.Duration]int64{0: 1000, 100 * time.Microsecond: 1001, 300 * time.Microsecond: 1001, time.Millisecond: 1002, time.Second: 2001} {
		if got := dueAfter(now, delay); got != want {
			t.Errorf("%v after %v: due at %d, want %d", delay, now, got, want)
		}
	}
}
