package slot_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/slot"
)

func deliveries(target int64, due ...time.Time) (all []postrider.Delivery) {
	for _, at := range due {
		all = append(all, postrider.Delivery{TargetID: target, Due: at})
	}
	return all
}

func TestOf(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 500_000_000, time.UTC)
	if slot.Of(now, now) != 0 || slot.Of(now.Add(-time.Hour), now) != 0 {
		t.Error("what is due has another slot than now")
	}
	second := now.Truncate(time.Second).Add(time.Minute)
	if slot.Of(second.Add(time.Millisecond), now) != slot.Of(second.Add(time.Second), now) || slot.Of(second, now) == slot.Of(second.Add(time.Millisecond), now) {
		t.Error("seconds near the due time are not slots")
	}
	minute := now.Truncate(time.Minute).Add(time.Hour)
	if slot.Of(minute, now) != slot.Of(minute.Add(59*time.Second), now) || slot.Of(minute, now) == slot.Of(minute.Add(time.Minute), now) {
		t.Error("minutes far from the due time are not slots")
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 500_000_000, time.UTC)
	limits := &postrider.QueueLimits{MaxDelay: postrider.MaxDelay}
	if got := slot.Delay(deliveries(1, now.Add(10*time.Second), now.Add(10*time.Second+300*time.Millisecond)), now, limits); got != 10*time.Second+300*time.Millisecond {
		t.Errorf("within a second: %v", got)
	}
	if got := slot.Delay(deliveries(1, now.Add(10*time.Minute), now.Add(10*time.Minute+30*time.Second)), now, limits); got != 9*time.Minute {
		t.Errorf("over a minute: %v", got)
	}
	if got := slot.Delay(deliveries(1, now.Add(-time.Hour)), now, limits); got != 0 {
		t.Errorf("overdue: %v", got)
	}
	if got := slot.Delay(deliveries(1, now.Add(time.Hour)), now, &postrider.QueueLimits{MaxDelay: 7 * 24 * time.Hour}); got != time.Hour {
		t.Errorf("a queue that delays for long: %v", got)
	}
	limits.Lead = 5 * time.Second
	for wait, want := range map[time.Duration]time.Duration{time.Second: 0, 12 * time.Second: 7 * time.Second, postrider.MaxDelay + time.Second: postrider.MaxDelay - 4*time.Second} {
		if got := slot.Delay(deliveries(1, now.Add(wait)), now, limits); got != want {
			t.Errorf("due in %v, with a lead: %v, want %v", wait, got, want)
		}
	}
}

func TestLeft(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 500_000_000, time.UTC)
	none, some := &postrider.QueueLimits{}, &postrider.QueueLimits{Lead: 5 * time.Second, Step: time.Second}
	for _, c := range []struct {
		due    time.Duration
		limits *postrider.QueueLimits
		wait   time.Duration
		goes   bool
	}{
		{-time.Hour, none, 0, true},
		{0, none, 0, true},
		{time.Millisecond, none, time.Millisecond, false},
		{-time.Hour, some, 0, true},
		{5 * time.Second, some, 5 * time.Second, true},
		{6 * time.Second, some, 6 * time.Second, true},
		{6*time.Second + 1, some, 6*time.Second + 1, false},
	} {
		if wait, goes := slot.Left(deliveries(1, now.Add(c.due-c.due/1000), now.Add(c.due)), now, c.limits); wait != c.wait || goes != c.goes {
			t.Errorf("due in %v, lead %v: %v, %v", c.due, c.limits.Lead, wait, goes)
		}
	}
}

// A full pack that the queue can wait for needs no retry manager, if the queue has a lead.
func TestPlace(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 500_000_000, time.UTC)
	stored, inline := postrider.Payload{Size: 1, Key: "key"}, postrider.Payload{Size: 1, Bytes: []byte("x")}
	none, some := &postrider.QueueLimits{MaxDelay: postrider.MaxDelay}, &postrider.QueueLimits{MaxDelay: postrider.MaxDelay, Lead: 5 * time.Second, Step: time.Second}
	for _, c := range []struct {
		what    string
		n, each int // deliveries, and of one event
		payload postrider.Payload
		wait    time.Duration
		limits  *postrider.QueueLimits
		lane    postrider.Lane
		delay   time.Duration
	}{
		{"a full pack", 100, 1, stored, time.Minute, some, postrider.LaneBulk, time.Minute},
		{"a full pack without a lead", 100, 1, stored, time.Minute, none, postrider.LaneRetry, time.Minute},
		{"a pack with room", 99, 1, stored, time.Minute, some, postrider.LaneRetry, 55 * time.Second},
		{"as many inline as there may be", 10, 1, inline, time.Minute, some, postrider.LaneBulk, time.Minute},
		{"fewer events inline", 18, 2, inline, time.Minute, some, postrider.LaneRetry, 55 * time.Second},
		{"a full pack that waits as long as the queue can", 100, 1, stored, postrider.MaxDelay, some, postrider.LaneBulk, postrider.MaxDelay},
		{"a full pack that waits longer", 100, 1, stored, postrider.MaxDelay + time.Second, some, postrider.LaneRetry, postrider.MaxDelay - 4*time.Second},
	} {
		var all []postrider.Delivery
		for i := range c.n {
			d := postrider.Delivery{TargetID: 1, Due: now.Add(c.wait), Event: &postrider.Event{Payload: c.payload}}
			if i%c.each > 0 {
				d.Event = all[i-1].Event
			}
			all = append(all, d)
		}
		if lane, delay := slot.Place(all, now, c.limits); lane != c.lane || delay != c.delay {
			t.Errorf("%s: %v for %v", c.what, lane, delay)
		}
	}
	minute := deliveries(1, now.Add(10*time.Minute))
	for range postrider.MaxPackTargets {
		minute = append(minute, deliveries(1, now.Add(10*time.Minute+30*time.Second))...)
	}
	if lane, _ := slot.Place(minute, now, some); lane != postrider.LaneRetry {
		t.Error("deliveries of several seconds wait together for the last of them")
	}
}

// What has one target and minute meets at one second, wherever in a window of half the longest delay it was put, and what has
// another does not come all at once.
func TestMeeting(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	due := begin.Add(4 * time.Hour)
	random := rand.New(rand.NewPCG(1, 2))
	at := map[int64]map[time.Time]int{}
	seconds := map[time.Time]int{}
	for range 3000 {
		target := random.Int64N(100)
		now := begin.Add(time.Duration(random.Int64N(int64(7 * time.Minute))))
		got := slot.Delay(deliveries(target, due.Add(time.Duration(random.Int64N(int64(time.Minute))))), now, &postrider.QueueLimits{MaxDelay: postrider.MaxDelay})
		if got <= postrider.MaxDelay/2-time.Second || got > postrider.MaxDelay {
			t.Fatalf("a delay of %v", got)
		}
		if at[target] == nil {
			at[target] = map[time.Time]int{}
		}
		at[target][now.Add(got)]++
		seconds[now.Add(got)]++
	}
	for target, times := range at {
		if len(times) > 2 {
			t.Errorf("target %d comes back at %d times", target, len(times))
		}
	}
	if len(seconds) < 80 {
		t.Errorf("100 targets come back at %d times", len(seconds))
	}
}
