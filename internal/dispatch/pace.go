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
	spread  float64       // where in the second half of the reach the last one comes back that found no slot within it
	early   time.Time     // when all of those would have come back, at the rate at which they may
}

// A slot is promised at the pace of the moment, and a target that was in trouble for a moment is not to be left idle afterwards for what
// was promised then. So promises reach only some times as far ahead as slots have been wanted without a gap. What finds no slot within
// the reach comes back in its second half, in whole packs, for a slot or another promise; of a large backlog some later, so that no more
// than comeBack a second do in all, or as many as there are slots, if that is more.
const (
	trust      = 3
	leastReach = 2 * time.Second
	mostReach  = postrider.MaxDelay
	comeBack   = 500 // a second, of all tenants and targets that have a backlog
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

// promise reserves the next slot and returns when that is; without one within reach, it returns when to come back. crowd is how many
// tenants and targets have a backlog.
func (p *pace) promise(n int, now time.Time, crowd int) time.Time {
	if !p.next.After(now) {
		p.next, p.since = now, now
	}
	reach, interval := p.reach(now), p.interval(n, now)
	at := p.next.Add(interval)
	if last := now.Add(reach); at.After(last) {
		p.next = last
		return now.Add(p.comeBack(now, reach, min(time.Duration(max(crowd, 1))*time.Second/comeBack, interval)))
	}
	p.next = at
	return at
}

// reach is how far ahead slots are promised.
func (p *pace) reach(now time.Time) time.Duration {
	return min(max(trust*now.Sub(p.since), leastReach), mostReach)
}

// comeBack returns after what time to come back, one every so often at most.
func (p *pace) comeBack(now time.Time, reach, every time.Duration) time.Duration {
	if p.early.Before(now) {
		p.early = now
	}
	if p.early = p.early.Add(every); p.early.Sub(now) > mostReach {
		p.early = now.Add(mostReach)
	}
	p.spread = math.Mod(p.spread+1/math.Phi, 1) // each in the largest gap between the others
	behind := p.early.Sub(now)
	switch {
	case behind <= reach/2:
		return time.Duration(float64(reach/2) * (1 + p.spread))
	case reach/2+behind <= mostReach:
		return reach/2 + behind
	}
	return time.Duration(float64(mostReach/2) * (1 + p.spread))
}

// backlogged reports whether promises reach far ahead.
func (p *pace) backlogged(now time.Time) bool { return p.next.Sub(now) > leastReach }
