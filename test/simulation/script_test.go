package simulation

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// play publishes events for the time of trouble while the world changes and breaks, then lets it rest.
func (w *world) play(seed uint64) {
	end := time.Now().Add(trouble)
	var others sync.WaitGroup
	for n := range uint64(3) {
		others.Go(func() { w.produce(n, rand.New(rand.NewPCG(seed, 100+n)), end) })
	}
	others.Go(func() { (&operator{w, rand.New(rand.NewPCG(seed, 200))}).operate(end) })
	for time.Now().Before(end) {
		time.Sleep(w.upTo(20 * time.Second))
		w.upset()
	}
	others.Wait()
	if w.ahead.Load() < 0 { // windows end within the rest; leases end at once, as after any jump
		w.ahead.Store(0)
		w.upheaval(upheaval{from: time.Now(), until: time.Now(), twins: true})
	}
	w.settleChanges()
	time.Sleep(rest)
	w.replayFailed()
	time.Sleep(time.Minute)
}

func (w *world) upTo(d time.Duration) time.Duration {
	return time.Duration(1 + w.random.Int64N(int64(d)))
}

// upset does one thing to the world.
func (w *world) upset() {
	switch w.random.IntN(8) {
	case 0, 1:
		w.crash()
	case 2:
		begun := time.Now()
		w.current.Load().stop(w.t)
		w.upheaval(upheaval{from: begun, until: time.Now()})
		w.start(w.current.Load().dir)
	case 3:
		w.jump()
	case 4, 5:
		w.fault()
	default: // a quiet time
	}
}

// crash kills the process, and starts another one on what was durable.
func (w *world) crash() {
	dir := w.current.Load().crash(w.t)
	w.upheaval(upheaval{from: time.Now(), until: time.Now(), twins: true})
	w.t.Logf("%v crash", time.Now())
	w.start(dir)
}

// jump sets the clock, by which times are recorded and judged: timers run on.
func (w *world) jump() {
	by := w.upTo(3*time.Minute) - time.Minute
	w.t.Logf("%v the clock jumps by %v", time.Now(), by)
	w.forward = w.forward || by > 0
	w.ahead.Add(int64(by))
	w.upheaval(upheaval{from: time.Now(), until: time.Now(), twins: true})
}

// fault has the disk ail for a time, in the midst of which the process may die.
func (w *world) fault() {
	a, lasts := sound+1+ailment(w.random.IntN(int(ailments-1))), w.upTo(longestFault)
	w.t.Logf("%v the disk is %v for %v", time.Now(), a, lasts)
	disk := w.current.Load().disk
	w.upheaval(upheaval{from: time.Now(), until: time.Now().Add(lasts), disk: true, twins: a != slow})
	disk.set(a)
	if w.random.IntN(3) == 0 {
		half := lasts / 2
		time.Sleep(half)
		w.crash() // onto a disk that is well
		lasts -= half
	}
	time.Sleep(lasts)
	disk.set(sound)
}

// upheaval is what happened to the process.
type upheaval struct {
	from, until time.Time
	twins       bool // what was in flight then may be sent again, once
	disk        bool // the disk failed, or was slow
}

// meets reports whether it fell into a time.
func (u *upheaval) meets(from, until time.Time) bool {
	return !u.until.Before(from) && !u.from.After(until)
}

func (w *world) upheaval(u upheaval) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.upheavals = append(w.upheavals, u)
}

// through is when something that ends by a time ends at the latest, where each upheaval on the way puts it off by a lag.
func (w *world) through(end time.Time, lag time.Duration) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, u := range w.upheavals {
		if later := u.until.Add(lag); !u.from.After(end) && later.After(end) {
			end = later
		}
	}
	return end
}

// settleChanges turns on what the script left off.
func (w *world) settleChanges() {
	for _, p := range w.places {
		p.receiver.disableOnce(false)
	}
	time.Sleep(2 * inFlight) // what has been told so is off by now
	for _, p := range w.places {
		if p.steady || p.deleted {
			continue
		}
		begun := time.Now()
		w.insist(p.tenant, http.MethodPost, fmt.Sprintf("/webhooks/targets/%d/enable", p.id), nil, nil)
		p.turn(begun, false)
	}
}
