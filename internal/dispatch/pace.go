package dispatch

import "time"

const (
	smoothing    = 8 // an attempt counts for an eighth of the smoothed time
	leastLatency = time.Millisecond
)

// pace is how fast a tenant's or a target's slots come free, and the schedule of those that are promised.
type pace struct {
	latency time.Duration // of attempts, smoothed; 0: none ended
	moved   time.Time     // when an attempt ended last, or the first of those in flight began
	next    time.Time     // the next slot that is not promised
}

// began notes that an attempt began, the n-th in flight.
func (p *pace) began(n int, now time.Time) {
	if n <= 1 {
		p.moved = now
	}
}

// ended notes that an attempt took so long.
func (p *pace) ended(now time.Time, took time.Duration) {
	p.moved = now
	if p.latency == 0 {
		p.latency = took
		return
	}
	p.latency += (took - p.latency) / smoothing
}

// interval is the time from one free slot to the next, with n slots. Where nothing has ended for longer than attempts used
// to take, it is as long as that.
func (p *pace) interval(n int, now time.Time) time.Duration {
	latency := p.latency // 0, where nothing is known: what hangs shows soon
	if still := now.Sub(p.moved); !p.moved.IsZero() && still > latency {
		latency = still
	}
	return max(latency, leastLatency) / time.Duration(max(n, 1))
}

// promise reserves the next slot and returns when that is.
func (p *pace) promise(n int, now time.Time) time.Time {
	at := now
	if p.next.After(now) {
		at = p.next
	}
	at = at.Add(p.interval(n, now))
	p.next = at
	return at
}
