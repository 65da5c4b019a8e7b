package dispatch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/steady"
)

const (
	batchOutcomes = 1000
	batchesFlying = 32              // that wait for their commits
	leastOpen     = 1024            // of maxOpen
	recordTimeout = 5 * time.Second // an outcome log that hangs longer is away
	divertFor     = 5 * time.Second // how long one that is away is left alone before it is tried once more
)

// maxOpen is how many deliveries may be open when more are taken; what is in hand then is sent all the same. A crash has all of them sent
// again. 1,024 are enough for 1,000 a second where outcomes take a second to be durable, and for 10,000 where they take 100 ms.
func maxOpen(inFlight int) int64 { return int64(max(2*inFlight, leastOpen)) }

// entry is an outcome to be recorded, and the delivery that it belongs to.
type entry struct {
	outcome postrider.Outcome
	parcel  *parcel
	follow  *follow
}

// recorder records outcomes in batches, and deals with their deliveries once they are durable. While the outcome log does
// not take them they go to a lane of the queue; while that does not either, they are kept and nothing is taken. The log is then tried
// with outcomes that the queue has too, so that no delivery waits for the trial: what is recorded twice changes nothing.
type recorder struct {
	d      *Dispatcher
	flying chan struct{}
	kicked chan struct{}

	mu      sync.Mutex
	waiting []entry
	closed  bool
	room    chan struct{} // closed once there is some; nil: nobody waits for it

	limit   int64
	open    atomic.Int64 // deliveries dealt with whose outcome, or the removal of whose item after it, is not durable
	blocked atomic.Int64 // batches that neither the log nor the queue takes
	began   time.Time    // of the monotonic clock: until must not lie far ahead once the wall clock is set back
	until   atomic.Int64 // in nanoseconds since began: before, the outcome log, which is away, is not tried; 0: it is there

	trials sync.WaitGroup
}

func newRecorder(d *Dispatcher) *recorder {
	return &recorder{d: d, limit: maxOpen(d.MaxInFlight), began: time.Now(), flying: make(chan struct{}, batchesFlying), kicked: make(chan struct{}, 1)}
}

// add takes an outcome. It does not block.
func (r *recorder) add(e entry) {
	r.open.Add(1)
	r.mu.Lock()
	r.waiting = append(r.waiting, e)
	r.mu.Unlock()
	r.kick()
}

func (r *recorder) kick() {
	select {
	case r.kicked <- struct{}{}:
	default:
	}
}

// close has run end once all is recorded.
func (r *recorder) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.kick()
}

// calm waits while outcomes cannot be recorded, or too many deliveries are open; false if ctx ended.
func (r *recorder) calm(ctx context.Context) bool {
	for ctx.Err() == nil {
		if r.blocked.Load() == 0 && r.open.Load() <= r.limit {
			return true
		}
		look := time.NewTimer(steady.FirstPause)
		select {
		case <-r.roomy():
		case <-look.C:
		case <-ctx.Done():
		}
		look.Stop()
	}
	return false
}

// roomy is closed once there is room; nil if there is some, and what is waited for is another thing.
func (r *recorder) roomy() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open.Load() <= r.limit {
		return nil
	}
	if r.room == nil {
		r.room = make(chan struct{})
	}
	return r.room
}

// less notes that n deliveries fewer are open.
func (r *recorder) less(n int) {
	if r.open.Add(-int64(n)) > r.limit {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.room != nil {
		close(r.room)
		r.room = nil
	}
}

// run records until close, or until ctx ends.
func (r *recorder) run(ctx context.Context) {
	var batches sync.WaitGroup
	trying, giveUp := context.WithCancel(ctx)
	defer func() {
		batches.Wait()
		giveUp()
		r.trials.Wait()
	}()
	for {
		<-r.kicked
		for {
			batch, closed := r.next()
			if len(batch) == 0 {
				if closed {
					return
				}
				break
			}
			r.flying <- struct{}{}
			batches.Go(func() {
				defer func() { <-r.flying }()
				r.finish(ctx, trying, batch)
			})
		}
	}
}

// next takes the next batch.
func (r *recorder) next() (batch []entry, closed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(len(r.waiting), batchOutcomes)
	batch, r.waiting = r.waiting[:n:n], r.waiting[n:]
	if len(r.waiting) == 0 {
		r.waiting = nil
	}
	return batch, r.closed
}

func outcomesOf(batch []entry) []postrider.Outcome {
	outcomes := make([]postrider.Outcome, len(batch))
	for i := range batch {
		outcomes[i] = batch[i].outcome
	}
	return outcomes
}

// finish waits until a batch is durable, wherever, and deals with its deliveries. trying bounds what goes on behind it.
func (r *recorder) finish(ctx, trying context.Context, batch []entry) {
	outcomes := outcomesOf(batch)
	r.try(trying, outcomes)
	if !r.durable(ctx, outcomes) {
		r.d.Logger.Error("outcomes are not recorded; their deliveries come again when their leases end", "outcomes", len(outcomes))
		return
	}
	var ended []*parcel
	for i := range batch {
		if batch[i].parcel.done(batch[i].follow) {
			ended = append(ended, batch[i].parcel)
		}
	}
	r.d.settleRecorded(ctx, ended, len(batch))
}

// durable tries the outcome log and the queue by turns until one has the outcomes; false if ctx ended.
func (r *recorder) durable(ctx context.Context, outcomes []postrider.Outcome) bool {
	var pause steady.Backoff
	held := false
	for {
		err := r.record(ctx, outcomes)
		if err == nil || r.divert(ctx, outcomes, err) {
			if held {
				r.blocked.Add(-1)
			}
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		if !held {
			held = true
			r.blocked.Add(1)
		}
		pause.After(ctx, r.d.Logger, "record of outcomes", err)
	}
}

// errLeftAlone says that the outcome log was not asked, since it is away.
var errLeftAlone = errors.New("the outcome log is left alone for a while")

// record has the outcome log record, unless it is away. One that hangs for recordTimeout is.
func (r *recorder) record(ctx context.Context, outcomes []postrider.Outcome) error {
	if r.until.Load() != 0 {
		return errLeftAlone
	}
	return r.ask(ctx, outcomes)
}

func (r *recorder) ask(ctx context.Context, outcomes []postrider.Outcome) error {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	commit, err := r.d.Outcomes.Record(ctx, outcomes)
	if err == nil {
		err = commit.Wait(ctx)
	}
	return err
}

// after is a time from now on, as until has it.
func (r *recorder) after(d time.Duration) int64 { return int64(time.Since(r.began) + d) }

// try has an outcome log that is away record, if it was left alone for long enough, and does not wait for it.
func (r *recorder) try(ctx context.Context, outcomes []postrider.Outcome) {
	until := r.until.Load()
	if until == 0 || int64(time.Since(r.began)) < until || !r.until.CompareAndSwap(until, r.after(recordTimeout+divertFor)) {
		return
	}
	r.trials.Go(func() {
		if err := r.ask(ctx, outcomes); err != nil {
			r.d.Logger.Debug("the outcome log is still away", "error", err)
			return
		}
		if r.until.Swap(0) != 0 {
			r.d.Logger.Info("the outcome log takes outcomes again")
		}
	})
}

// lost notes that the outcome log is away. It is told once.
func (r *recorder) lost(cause error) {
	r.d.metrics.failures.WithLabelValues("record").Inc()
	if r.until.Swap(r.after(divertFor)) == 0 {
		r.d.Logger.Warn("the outcome log does not take outcomes; they go to the queue", "error", cause)
	}
}

// divert puts outcomes into the queue, and reports whether they are durable there.
func (r *recorder) divert(ctx context.Context, outcomes []postrider.Outcome, cause error) bool {
	if ctx.Err() != nil {
		return false
	}
	if !errors.Is(cause, errLeftAlone) {
		r.lost(cause)
	}
	items := r.items(outcomes, nil)
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	commit, err := r.d.Queue.Put(ctx, items...)
	if err == nil {
		err = commit.Wait(ctx)
	}
	if err != nil {
		r.until.Store(0) // the log is the other hope
		r.d.metrics.failures.WithLabelValues("divert").Inc()
		r.d.Logger.Debug("the queue does not take outcomes either", "error", err)
		return false
	}
	r.d.metrics.diverted.Add(float64(len(outcomes)))
	return true
}

// items makes items of outcomes that the queue takes.
func (r *recorder) items(outcomes []postrider.Outcome, items []postrider.Item) []postrider.Item {
	item := postrider.Item{Lane: postrider.LaneOutcomes, Outcomes: outcomes}
	if n := len(outcomes) / 2; n > 0 && !r.d.Queue.Fits(&item) {
		items = r.items(slices.Clip(outcomes[:n]), items)
		return r.items(outcomes[n:], items)
	}
	return append(items, item)
}
