package dispatch

import (
	"sync"
	"time"
)

// workerIdle is how long a goroutine waits for another delivery before it ends.
const workerIdle = time.Second

// workers run deliveries on goroutines that are used again: an attempt goes deep into the HTTP client, and a new goroutine
// would grow its stack each time.
type workers struct {
	jobs *sync.WaitGroup // counts what runs
	next chan func()     // to a goroutine that is idle
}

func newWorkers(jobs *sync.WaitGroup) *workers { return &workers{jobs: jobs, next: make(chan func())} }

// run runs f at once, on an idle goroutine or a new one.
func (w *workers) run(f func()) {
	w.jobs.Add(1)
	select {
	case w.next <- f:
	default:
		go w.work(f)
	}
}

func (w *workers) work(f func()) {
	idle := time.NewTimer(workerIdle)
	defer idle.Stop()
	for f != nil {
		f()
		w.jobs.Done()
		idle.Reset(workerIdle)
		select {
		case f = <-w.next: // nil once it is closed
		case <-idle.C:
			return
		}
	}
}

// close ends the goroutines that are idle. Nothing may be run after it.
func (w *workers) close() { close(w.next) }
