// Package simulation runs the whole of Postrider, its roles, its API and its embedded engines, on a clock and a network that
// are simulated (testing/synctest), against producers, receivers and operators who do all that a seed has them do: events are
// published, targets fail, hang and refuse, subscriptions change, clocks jump, processes stop or die in the middle of it.
// What must hold then whatever happened is in check_test.go.
//
// A seed settles what happens to the system and when. The order in which goroutines run within one instant is the
// scheduler's, so that a seed that fails may have to be run more than once: -count 20.
package simulation

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

var (
	oneSeed = flag.Uint64("seed", 0, "run this seed alone")
	seeds   = flag.Int("seeds", 16, "run so many seeds")
	from    = flag.Uint64("from", 1, "the first of them")
	draw    = flag.Int("draw", 0, "run so many more, which are drawn and printed")
)

// TestNothingIsLost plays seeds.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	for _, seed := range drawn(t) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				w := newWorld(t, seed)
				w.play(seed)
				w.check()
				w.current.Load().stop(t)
				for _, p := range w.places {
					p.receiver.server.Close()
				}
				if t.Failed() {
					t.Logf("%d events in %v; play it again: go test ./test/simulation -run TestNothingIsLost -seed %d", len(w.events), time.Since(begin), seed)
				}
			})
		})
	}
}

// drawn are the seeds to play: those that are always played, so that a change is judged by what it does, and new ones where they are
// asked for.
func drawn(t *testing.T) []uint64 {
	t.Helper()
	if *oneSeed != 0 {
		return []uint64{*oneSeed}
	}
	n := *seeds
	if testing.Short() {
		n = min(n, 4)
	}
	var list []uint64
	for i := range n {
		list = append(list, *from+uint64(i))
	}
	for range *draw {
		fresh := rand.Uint64()
		t.Logf("a new seed: %d", fresh)
		list = append(list, fresh)
	}
	return list
}
