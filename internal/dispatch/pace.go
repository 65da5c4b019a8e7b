package dispatch

import (
	"time"

	"github.com/postrider/postrider"
)

const (
	smoothing    = 8 // an attempt counts for an eighth of the smoothed time
	leastLatency = time.Millisecond
)

// pace is how fast a tenant's or a target's slots come free, and the schedule of those that are promised.
type pace struct {
	latency time.Duration // of attempts, smoothed; 0: none ended
	moved   time.Time     // when an attempt ended last, or the first of those in flight began
	next    time.Time     // the next slot that is not promised
	beyond  time.Duration // where in the second half of the horizon the next promise beyond it lies
}

// horizon bounds promises: a target that is well again is not left waiting for what was promised while it was not. What would
// come later is spread over the horizon's second half, and goes round as whole packs, seldom.
const horizon = postrider.MaxDelay

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
	before := p.latency
	p.latency += (took - before) / smoothing
	if ahead := p.next.Sub(now); ahead > 0 { // as many promises as before, closer together or wider apart: both, or what wavers would draw them together
		p.next = now.Add(min(time.Duration(float64(ahead)*float64(p.latency)/float64(before)), horizon))
	}
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
	interval := p.interval(n, now)
	at = at.Add(interval)
	if at.Sub(now) > horizon {
		p.beyond = (p.beyond + interval) % (horizon / 2)
		return now.Add(horizon/2 + p.beyond)
	}
	p.next = at
	return at
}
