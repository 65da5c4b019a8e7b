package stack

import (
	"slices"
	"testing"
	"time"
)

// sample is what a process's memory was at a time.
type sample struct {
	at  time.Time
	rss int64
}

func (o *away) sample(t *testing.T) {
	t.Helper()
	for role, p := range o.processes {
		rss, _ := p.Memory()
		o.samples[role] = append(o.samples[role], sample{time.Now(), rss})
	}
}

// mostGrowth is by how much the memory of a process may differ between the beginning and the end of an outage.
const mostGrowth = 48 << 20

// checkMemory holds the memory of the last third of the outage against that of its first.
func (o *away) checkMemory(t *testing.T) {
	t.Helper()
	third := o.up.Sub(o.down) / 3
	for _, role := range roles {
		before := o.median(role, time.Time{}, o.down)
		first := o.median(role, o.down, o.down.Add(third))
		last := o.median(role, o.up.Add(-third), o.up)
		after := o.median(role, o.up, time.Now())
		_, peak := o.processes[role].Memory()
		t.Logf("%s: median MiB before %d, in the first third of the outage %d, in the last %d, after %d; peak %d", role, before>>20, first>>20, last>>20, after>>20, peak>>20)
		if o.lasts >= 3*time.Minute && last-first > mostGrowth { // in less they are still warming up
			t.Errorf("%s grew from %d to %d MiB during the outage", role, first>>20, last>>20)
		}
	}
}

// median of a process's memory in a span of time; 0 if there is no sample of it.
func (o *away) median(role string, from, to time.Time) int64 {
	var all []int64
	for _, s := range o.samples[role] {
		if s.at.After(from) && s.at.Before(to) {
			all = append(all, s.rss)
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}
