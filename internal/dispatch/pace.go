package dispatch

import (
	"math"
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
	since   time.Time     // when the first promise was made of those that followed one another without a gap until next
	spread  float64       // where in the second half of the reach the last one came that found no slot within it
}

// Promises reach some times as far ahead as they have been needed without a gap, within bounds: a target that is well again after a
// moment of trouble is not left idle for what was promised at the pace of that moment, while a backlog of one that stays slow
// goes round seldom. What would come later has no slot of its own: it comes back, in whole packs, in the second half of the reach, or
// once the calendar has room for it.
const (
	trust      = 3
	leastReach = 2 * time.Second
	mostReach  = postrider.MaxDelay
)

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
		p.next = now.Add(min(time.Duration(float64(ahead)*float64(p.latency)/float64(before)), mostReach))
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

// promise reserves the next slot and returns when that is. Beyond the reach none is reserved: then it returns when to come back at
// the earliest.
func (p *pace) promise(n int, now time.Time) (at time.Time, reserved bool) {
	if !p.next.After(now) {
		p.next, p.since = now, now
	}
	reach := p.reach(now)
	at = p.next.Add(p.interval(n, now))
	if last := now.Add(reach); at.After(last) {
		p.next = last
		p.spread = math.Mod(p.spread+1/math.Phi, 1) // each in the largest gap between the others
		return now.Add(time.Duration(float64(reach/2) * (1 + p.spread))), false
	}
	p.next = at
	return at, true
}

// reach is how far ahead slots are promised.
func (p *pace) reach(now time.Time) time.Duration {
	return min(max(trust*now.Sub(p.since), leastReach), mostReach)
}
