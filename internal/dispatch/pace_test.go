package dispatch

import (
	"testing"
	"time"
)

// TestPromisesStayWithinReach makes more promises than it has room for: the rest is spread, and holds up nothing later.
func TestPromisesStayWithinReach(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	p := pace{latency: 15 * time.Second, moved: now, since: now.Add(-time.Hour), next: now.Add(time.Second)}
	seconds := make(map[int64]int)
	for range 10_000 {
		at := p.promise(32, now, 1)
		if !at.After(now) || at.Sub(now) > mostReach {
			t.Fatalf("a promise in %v", at.Sub(now))
		}
		seconds[at.Unix()]++
	}
	for second, n := range seconds {
		if n > 30 {
			t.Errorf("%d promises in second %d", n, second-now.Unix())
		}
	}
}

// TestPromisesComeCloserWhenATargetIsQuickAgain has a slow target recover: what is put off then is not put behind promises
// as far apart as they were.
func TestPromisesComeCloserWhenATargetIsQuickAgain(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	p := pace{latency: 10 * time.Second, moved: now}
	for range 1000 {
		p.promise(32, now, 1)
	}
	for range 100 {
		now = now.Add(10 * time.Millisecond)
		p.ended(now, 10*time.Millisecond)
	}
	if at := p.promise(32, now, 1); at.Sub(now) > 2*time.Second {
		t.Errorf("the next promise is in %v", at.Sub(now))
	}
}

func TestWhatIsNotKnownCountsAsQuickUntilItHangs(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	var p pace
	p.began(1, now)
	if got := p.interval(1, now); got != leastLatency {
		t.Errorf("interval %v at once", got)
	}
	if got := p.interval(4, now.Add(8*time.Second)); got != 2*time.Second {
		t.Errorf("interval %v after 8 s without an end", got)
	}
}

// TestPromisesKeepTheirDistanceWhenATargetWavers has attempts take a little more and a little less by turns: promises stay as far ahead
// as there are slots for them, or what was put off would come back before there is room, again and again.
func TestPromisesKeepTheirDistanceWhenATargetWavers(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	p := pace{latency: 100 * time.Millisecond, moved: now, since: now.Add(-time.Hour), next: now.Add(time.Second)}
	for range 10_000 {
		p.promise(32, now, 1)
	}
	before := p.next
	for i := range 1000 {
		now = now.Add(time.Millisecond)
		p.ended(now, time.Duration(80+40*(i%2))*time.Millisecond)
	}
	if shift := p.next.Sub(before); shift < -5*time.Second || shift > 5*time.Second {
		t.Errorf("the next promise moved by %v", shift)
	}
}

// TestReachGrowsWhileATargetStaysSlow: what a short trouble puts off comes back soon; the longer it lasts, the more seldom.
func TestReachGrowsWhileATargetStaysSlow(t *testing.T) {
	t.Parallel()
	begin := time.Unix(1_700_000_000, 0)
	p := pace{latency: 15 * time.Second, moved: begin}
	due := make([]time.Time, 1000) // of deliveries that find no slot, whenever they come back
	rounds := 0
	for now := begin; now.Before(begin.Add(time.Hour)); now = now.Add(100 * time.Millisecond) {
		gone := now.Sub(begin)
		for i := range due {
			if due[i].After(now) {
				continue
			}
			rounds++
			due[i] = p.promise(1, now, 1)
			if ahead := due[i].Sub(now); ahead > max(leastReach, trust*gone)+time.Duration(len(due))*time.Second/comeBack || ahead > mostReach || gone > time.Hour/2 && ahead < time.Minute {
				t.Fatalf("after %v one is put off by %v", gone, ahead)
			}
		}
	}
	if most := 16 * len(due); rounds > most { // it grows geometrically, then by a quarter of an hour at most
		t.Errorf("%d times round in an hour, want %d at most", rounds, most)
	}
}
