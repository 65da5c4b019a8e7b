package postrider_test

import (
	"testing"
	"time"

	"github.com/postrider/postrider"
)

var system = postrider.RetryPolicy{Base: 10 * time.Second, Max: 4 * time.Hour, Window: 24 * time.Hour}

func TestRetrySchedule(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	last := start.Add(24*time.Hour - 15*time.Second)
	for _, tt := range []struct {
		name       string
		attempt    int
		now        time.Time
		random     float64
		retryAfter time.Time
		want       time.Time // zero: exhausted
	}{
		{"first, least", 1, start, 0, time.Time{}, start.Add(5 * time.Second)},
		{"first, most", 1, start, 0.999999, time.Time{}, start.Add(10 * time.Second)},
		{"second", 2, start, 0, time.Time{}, start.Add(10 * time.Second)},
		{"third", 3, start, 0.5, time.Time{}, start.Add(30 * time.Second)},
		{"capped at max", 12, start, 0, time.Time{}, start.Add(2 * time.Hour)},
		{"no overflow", 500, start, 0, time.Time{}, start.Add(2 * time.Hour)},
		{"Retry-After later", 1, start, 0, start.Add(time.Minute), start.Add(time.Minute)},
		{"Retry-After earlier", 1, start, 0, start.Add(time.Second), start.Add(5 * time.Second)},
		{"Retry-After past the window", 1, start, 0, start.Add(48 * time.Hour), last},
		{"cut to the last slot", 12, last.Add(-time.Hour), 0, time.Time{}, last},
		{"just room for the last slot", 12, last.Add(-5 * time.Second), 0, time.Time{}, last},
		{"too near to the last slot", 12, last.Add(-5*time.Second + 1), 0, time.Time{}, time.Time{}},
		{"after the last slot", 12, last, 0, time.Time{}, time.Time{}},
		{"after the window", 1, start.Add(30 * time.Hour), 0, time.Time{}, time.Time{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			at, ok := system.Next(postrider.Failure{Attempt: tt.attempt, Now: tt.now, Start: start, Timeout: 15 * time.Second,
				RetryAfter: tt.retryAfter, Random: tt.random})
			if ok != !tt.want.IsZero() {
				t.Fatalf("scheduled: %v at %v, want %v", ok, at, tt.want)
			}
			if d := at.Sub(tt.want); ok && (d < -time.Millisecond || d > time.Millisecond) {
				t.Errorf("next attempt at %v, want %v", at, tt.want)
			}
		})
	}
}

// Whatever is drawn, a schedule moves forward by at least half of the base, and ends at the last slot.
func TestRetryScheduleEnds(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, random := range []float64{0, 0.3, 0.999} {
		now, attempts := start, 0
		for {
			attempts++
			at, ok := system.Next(postrider.Failure{Attempt: attempts, Now: now, Start: start, Timeout: 15 * time.Second, Random: random})
			if !ok {
				break
			}
			if at.Before(now.Add(system.Base / 2)) {
				t.Fatalf("attempt %d at %v, within base/2 of %v", attempts+1, at, now)
			}
			now = at
		}
		if want := start.Add(24*time.Hour - 15*time.Second); !now.Equal(want) {
			t.Errorf("random %v: last attempt at %v, want %v", random, now, want)
		}
		if attempts < 14 || attempts > 26 {
			t.Errorf("random %v: %d attempts", random, attempts)
		}
	}
}

func TestRetryPolicyOver(t *testing.T) {
	t.Parallel()
	if got := (postrider.RetryPolicy{}).Over(system); got != system {
		t.Errorf("an empty policy gives %+v", got)
	}
	got := postrider.RetryPolicy{Base: 8 * time.Hour}.Over(system)
	if got.Base != 8*time.Hour || got.Max != 8*time.Hour || got.Window != system.Window {
		t.Errorf("a base above the system's max gives %+v", got)
	}
	if got := (postrider.RetryPolicy{Max: time.Second}).Over(system); got.Base != time.Second {
		t.Errorf("a max below the system's base gives %+v", got)
	}
}

func TestRetryPolicyCheck(t *testing.T) {
	t.Parallel()
	bad := postrider.RetryPolicy{Base: time.Millisecond, Max: 8 * 24 * time.Hour, Window: time.Millisecond}
	if err := bad.Check(); postrider.CodeOf(err) != postrider.CodeInvalid {
		t.Fatalf("got %v", err)
	}
	wantFields(t, bad.Check(), "retry.base", "retry.max", "retry.window")
	wantFields(t, postrider.RetryPolicy{Base: time.Hour, Max: time.Minute}.Check(), "retry.max")
	wantFields(t, system.Check())
}

func TestWindowStart(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 10, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct{ accepted, want time.Time }{
		{now.Add(-time.Hour), now.Add(-time.Hour)},
		{now.Add(time.Hour), now},
		{now.Add(-8 * 24 * time.Hour), now.Add(-7 * 24 * time.Hour)},
		{time.Time{}, now.Add(-7 * 24 * time.Hour)},
	} {
		if got := postrider.WindowStart(tt.accepted, now); !got.Equal(tt.want) {
			t.Errorf("WindowStart(%v) = %v, want %v", tt.accepted, got, tt.want)
		}
	}
}
