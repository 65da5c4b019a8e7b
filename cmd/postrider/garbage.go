package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// leastHeap is the size up to which the heap may grow before garbage is collected, however little of it is live. Go's
// default, twice what is live, collects many times a second in a busy server whose live heap is some 10 MB.
const leastHeap = 48 << 20

// growth is how much garbage there may be beyond that, in percent of what is live: a large heap is mostly what waits, of which memory
// should hold little more than itself.
const growth = 60

// relaxCollector lets the heap grow to leastHeap, and beyond that by growth. It does nothing where
// the environment says how (GOGC).
func relaxCollector() {
	if os.Getenv("GOGC") == "" {
		afterCollection()
	}
}

// sentinel is garbage at once, so that its finalizer runs after the next collection. It is too large for the blocks that
// tiny objects share, which may live on.
type sentinel [64]byte

func afterCollection() {
	sizes := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(sizes)
	debug.SetGCPercent(percentFor(sizes[0].Value.Uint64(), sizes[1].Value.Uint64()+sizes[2].Value.Uint64()))
	runtime.SetFinalizer(new(sentinel), func(*sentinel) { afterCollection() })
}

// percentFor is the GOGC with which a live heap may grow to leastHeap, at least growth.
// The collector counts GOGC from the heap together with what else it scans: stacks and globals.
func percentFor(live, scanned uint64) int {
	if live == 0 {
		live = 4 << 20 // before the first collection
	}
	if live >= leastHeap {
		return growth
	}
	return max(int((leastHeap-live)*100/(live+scanned)), growth)
}
