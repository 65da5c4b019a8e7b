package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"

	"github.com/postrider/postrider/internal/config"
)

// leastHeap is the size up to which the heap may grow before garbage is collected, however little of it is live. Go's
// default, twice what is live, collects many times a second in a busy server whose live heap is some 10 MB.
const leastHeap = 48 << 20

// smallHeap is leastHeap of a process that is a retry manager and nothing else: it works in bursts, and the CPU that more
// collections take is a small part of what the queue's server takes for them.
const smallHeap = 16 << 20

// growth is how much garbage there may be beyond that, in percent of what is live: a large heap is mostly what waits, of which memory
// should hold little more than itself.
const growth = 60

// relaxCollector lets the heap of a process of some roles grow to leastHeap, or smallHeap, and beyond that by growth. It does nothing
// where the environment says how (GOGC).
func relaxCollector(roles []config.Role) {
	if os.Getenv("GOGC") == "" {
		afterCollection(leastOf(roles))
	}
}

func leastOf(roles []config.Role) uint64 {
	if slices.Equal(roles, []config.Role{config.RoleRetry}) {
		return smallHeap
	}
	return leastHeap
}

// sentinel is garbage at once, so that its finalizer runs after the next collection. It is too large for the blocks that
// tiny objects share, which may live on.
type sentinel [64]byte

func afterCollection(least uint64) {
	sizes := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(sizes)
	debug.SetGCPercent(percentFor(least, sizes[0].Value.Uint64(), sizes[1].Value.Uint64()+sizes[2].Value.Uint64()))
	runtime.SetFinalizer(new(sentinel), func(*sentinel) { afterCollection(least) })
}

// percentFor is the GOGC with which a live heap may grow to least, at least growth.
// The collector counts GOGC from the heap together with what else it scans: stacks and globals.
func percentFor(least, live, scanned uint64) int {
	if live == 0 {
		live = 4 << 20 // before the first collection
	}
	if live >= least {
		return growth
	}
	return max(int((least-live)*100/(live+scanned)), growth)
}
