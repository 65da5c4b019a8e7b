package postrider

import "time"

// Limits and defaults of retries.
const (
	DefaultRetryBase   = 10 * time.Second
	DefaultRetryMax    = 4 * time.Hour
	DefaultRetryWindow = 24 * time.Hour
	MinRetryBase       = 100 * time.Millisecond
	MaxRetryWindow     = 7 * 24 * time.Hour
)

// RetryPolicy says when a failed delivery is tried again. A zero field of a target's policy stands for the system's.
type RetryPolicy struct {
	Base   time.Duration // the longest delay after the first attempt
	Max    time.Duration // the longest delay at all
	Window time.Duration // from acceptance to the end of the last attempt
}

// Over returns p with its zero fields taken from system.
func (p RetryPolicy) Over(system RetryPolicy) RetryPolicy {
	if p.Base == 0 {
		p.Base = system.Base
	}
	if p.Max == 0 {
		p.Max = max(system.Max, p.Base)
	}
	if p.Window == 0 {
		p.Window = system.Window
	}
	p.Base = min(p.Base, p.Max)
	return p
}

// Check refuses durations outside the limits, by field; zero fields are left out.
func (p RetryPolicy) Check() error {
	var faults Faults
	if p.Base != 0 && (p.Base < MinRetryBase || p.Base > MaxRetryWindow) {
		faults.Addf("retry.base", "is %v; it must be %v to %v", p.Base, MinRetryBase, MaxRetryWindow)
	}
	if p.Max != 0 && (p.Max < MinRetryBase || p.Max > MaxRetryWindow) {
		faults.Addf("retry.max", "is %v; it must be %v to %v", p.Max, MinRetryBase, MaxRetryWindow)
	}
	if p.Base != 0 && p.Max != 0 && p.Max < p.Base {
		faults.Addf("retry.max", "is %v, below retry.base %v", p.Max, p.Base)
	}
	if p.Window != 0 && (p.Window < time.Second || p.Window > MaxRetryWindow) {
		faults.Addf("retry.window", "is %v; it must be 1s to %v", p.Window, MaxRetryWindow)
	}
	return faults.Err()
}

// Failure is what the schedule needs to know of a failed attempt.
type Failure struct {
	Attempt    int           // attempts made in this generation, this one included; at least 1
	Now        time.Time     // when it failed
	Start      time.Time     // of the window, clamped (see WindowStart)
	Timeout    time.Duration // of an attempt
	RetryAfter time.Time     // what the receiver asked for; zero: nothing
	Random     float64       // drawn evenly from [0, 1)
}

// Next returns when the delivery is tried again, or false if it is exhausted. It is a pure function.
//
// The delay after attempt n is d/2 + Random × d/2 with d = Base × 2^(n-1), at most Max; the later of that and RetryAfter
// counts. The last attempt is at the window's end less the timeout; none is scheduled after it, nor within Base/2 of now.
func (p RetryPolicy) Next(f Failure) (time.Time, bool) {
	last := p.LastSlot(f.Start, f.Timeout)
	if last.Before(f.Now.Add(p.Base / 2)) {
		return time.Time{}, false
	}
	d := p.step(f.Attempt)
	at := f.Now.Add(d/2 + time.Duration(f.Random*float64(d/2)))
	if f.RetryAfter.After(at) {
		at = f.RetryAfter
	}
	if at.After(last) {
		at = last
	}
	return at, true
}

// LastSlot is when the last attempt of a window begins at the latest.
func (p RetryPolicy) LastSlot(start time.Time, timeout time.Duration) time.Time {
	return start.Add(p.Window - timeout)
}

// step is Base × 2^(n-1), at most Max, without overflow.
func (p RetryPolicy) step(n int) time.Duration {
	d := p.Base
	for i := 1; i < n && d < p.Max; i++ {
		d *= 2
	}
	return min(d, p.Max)
}

// WindowStart clamps the start of a retry window to the last 7 days and to not after now. It is applied at each read, so
// that a producer's odd clock neither ends a delivery at once nor keeps it for ever.
func WindowStart(accepted, now time.Time) time.Time {
	if oldest := now.Add(-MaxRetryWindow); accepted.Before(oldest) {
		return oldest
	}
	if accepted.After(now) {
		return now
	}
	return accepted
}
