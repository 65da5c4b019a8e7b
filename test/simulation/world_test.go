package simulation

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Times of a run, by the bubble's clock. Windows outlast the trouble, so that all that is due can be delivered.
const (
	trouble      = 3 * time.Minute // events are published, targets fail, processes die
	rest         = 9 * time.Minute // more than a window after that, for all deliveries to end
	longestFault = 20 * time.Second
)

// world is one run of the simulation.
type world struct {
	t           *testing.T
	random      *rand.Rand // of the script alone
	places      []*place   // the operator's, while it works
	hosts       *hosts
	current     atomic.Pointer[process]
	ahead       atomic.Int64 // of the bubble's clock, in nanoseconds
	forward     bool         // the clock was set forward: windows end early
	troubleEnds time.Time

	mu        sync.Mutex
	events    map[string]*published
	replays   map[key][]replay
	upheavals []upheaval // in order
}

var (
	types    = [...]string{"a.b", "a.c.d", "z"}
	patterns = [...]string{"*", "a.*", "a.b", "z"}
)

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{t: t, random: rand.New(rand.NewPCG(seed, 1)), hosts: &hosts{byAddr: map[string]*receiver{}},
		events: map[string]*published{}, replays: map[key][]replay{}, troubleEnds: time.Now().Add(trouble)}
	w.start(folder(t))
	for i, tenant := range [...]string{"acme", "acme", "acme", "beta", "beta"} {
		wanted := make([]string, 1+w.random.IntN(3)) // often more than one subscription matches an event
		for i := range wanted {
			wanted[i] = somePattern(w.random)
		}
		w.register(w.newPlace(tenant, i != 2 && i != 4, w.random), wanted...)
	}
	return w
}

func somePattern(random *rand.Rand) string { return patterns[random.IntN(len(patterns))] }

// newPlace makes a receiver and a place for it, which is to be registered.
func (w *world) newPlace(tenant string, steady bool, random *rand.Rand) *place {
	n := uint64(len(w.places))
	p := &place{tenant: tenant, steady: steady, short: !steady && random.IntN(3) == 0, faces: []face{{}}}
	p.receiver = newReceiver(fmt.Sprintf("t%d.example", n), rand.New(rand.NewPCG(random.Uint64(), n)), someTemper(random, w.troubleEnds))
	w.hosts.add(p.receiver)
	w.places = append(w.places, p)
	return p
}

func someTemper(random *rand.Rand, healthy time.Time) temper {
	t := temper{healthy: healthy}
	switch random.IntN(5) {
	case 0: // well from the start
	case 1:
		t.slow = 6 * time.Second // some answers come after the timeout
	case 2:
		t.fails, t.slow = 0.5, time.Second
	case 3:
		t.fails, t.later, t.refuses = 0.8, true, 0.3
	default:
		t.hangs, t.fails = 0.3, 0.2
	}
	return t
}

// folder is a new folder, in memory where the machine has one there: the simulation is about order, not about disks.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "postrider-simulation-") //nolint:usetesting // not where t.TempDir is
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (w *world) clock() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// start starts a process on a folder, whose disk is sound.
func (w *world) start(dir string) {
	disk, forget := newDisk(dir, rand.New(rand.NewPCG(w.random.Uint64(), 0)))
	w.t.Cleanup(forget)
	p := launch(w.t, dir, w.clock, w.hosts, w.t.Output())
	p.disk = disk
	w.current.Store(p)
}
