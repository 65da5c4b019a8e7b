// Package dispatch is the dispatcher role: it takes deliveries that are due, sends each as a signed POST, records what came
// of it, and puts back what is to be tried again.
//
// A delivery goes through a few steps, each in its own file: it is taken (take.go), judged by the subscription cache
// (judge.go), its payload is fetched (payload.go), a slot is taken (slots.go), the attempt is made (attempt.go, message.go,
// class.go), and its outcome decided (after.go). What may not be sent now is deferred (defer.go). Once the outcomes of a
// pack are durable (record.go), its lease is settled together with what follows (settle.go).
//
// A slot is held for the attempt alone: nothing is fetched, recorded or waited for while one is held.
package dispatch

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/budget"
	"github.com/postrider/postrider/internal/match"
	"github.com/postrider/postrider/internal/steady"
	"github.com/postrider/postrider/internal/trace"
)

// Defaults of a Dispatcher.
const (
	DefaultTimeout           = 15 * time.Second
	DefaultMaxInFlight       = 512
	DefaultTargetMaxInFlight = 32
	DefaultDrain             = 30 * time.Second
	DefaultBudget            = 256 << 20
)

// closing is how long, beyond the drain, outcomes are recorded and leases settled.
const closing = 5 * time.Second

// Options are what a Dispatcher is made of.
type Options struct {
	Queue    postrider.Queue
	Payloads postrider.PayloadStore
	Events   postrider.EventLog
	Outcomes postrider.OutcomeLog
	Database Database
	Cache    *match.Cache

	Transport func(allowPrivate bool) http.RoundTripper      // makes the connections; the egress guard's
	Open      func(sealed []byte, ad string) ([]byte, error) // opens the secrets and headers of targets
	Budget    *budget.Budget                                 // of payloads that are fetched; nil: DefaultBudget bytes

	Retry             postrider.RetryPolicy // the system's; zero fields: the defaults
	Timeout           time.Duration         // of a whole attempt, the part of the body that is read included; 0: DefaultTimeout
	MaxInFlight       int                   // attempts at once; 0: DefaultMaxInFlight
	TargetMaxInFlight int                   // attempts at once for a target that sets no limit; 0: DefaultTargetMaxInFlight
	Drain             time.Duration         // how long a stop waits for attempts in flight; 0: DefaultDrain
	UserAgent         string                // "": "Postrider"
	Process           string                // names this process among those that publish holds
	Announce          func()                // called after a notice was stored; nil: nobody is told
	Random            func() float64        // draws evenly from [0, 1), from many goroutines; nil: math/rand

	Tracer       *trace.Tracer // nil: off
	TraceTargets bool          // messages carry the header traceparent

	Clock      postrider.Clock       // nil: time.Now
	Logger     *slog.Logger          // nil: nothing is logged
	Registerer prometheus.Registerer // nil: metrics are counted and not shown
}

// Database is what a dispatcher needs of the database.
type Database interface {
	TurnOff(ctx context.Context, tenant string, id int64, reason string, notice *postrider.Event) (bool, error)
	postrider.HoldStore
}

// Dispatcher is the role. It is run once.
type Dispatcher struct {
	Options
	metrics  *metrics
	limits   postrider.QueueLimits
	slots    *slots
	fetches  *fetches
	stores   *stores
	material *materials
	recorder *recorder
	stale    staleness
	holds    *holds
	bundler  bundler
	jobs     sync.WaitGroup // deliveries in hand
	workers  *workers
}

// life holds the contexts of a run: the end of the first stops taking, of the second the attempts, of the third the rest.
type life struct {
	stop, attempts, rest context.Context
}

// New makes a Dispatcher.
func New(o Options) *Dispatcher {
	o = withDefaults(o)
	d := &Dispatcher{Options: o, metrics: newMetrics(o.Registerer), limits: o.Queue.Limits(), holds: newHolds()}
	d.slots = newSlots(o.MaxInFlight, leastPatience+d.limits.Step, d.metrics.inFlight)
	d.fetches = newFetches(o.Events, o.Payloads, o.Budget)
	d.stores = newStores(o.Payloads)
	d.material = newMaterials(o.Open, o.UserAgent)
	d.recorder = newRecorder(d)
	d.workers = newWorkers(&d.jobs)
	if d.limits.Lease < o.Timeout+leaseMargin {
		o.Logger.Warn("leases of the queue are shorter than an attempt may last: nothing can be sent", "lease", d.limits.Lease, "timeout", o.Timeout)
	}
	return d
}

func withDefaults(o Options) Options {
	o.Retry = o.Retry.Over(postrider.RetryPolicy{Base: postrider.DefaultRetryBase, Max: postrider.DefaultRetryMax, Window: postrider.DefaultRetryWindow})
	o.Timeout = positive(o.Timeout, DefaultTimeout)
	o.MaxInFlight = positive(o.MaxInFlight, DefaultMaxInFlight)
	o.TargetMaxInFlight = positive(o.TargetMaxInFlight, DefaultTargetMaxInFlight)
	o.Drain = positive(o.Drain, DefaultDrain)
	if o.Budget == nil {
		o.Budget = budget.New(DefaultBudget)
	}
	if o.UserAgent == "" {
		o.UserAgent = "Postrider"
	}
	if o.Announce == nil {
		o.Announce = func() {}
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func positive[T int | time.Duration](value, standard T) T {
	if value > 0 {
		return value
	}
	return standard
}

// Run dispatches until ctx ends, then ends the attempts in flight, for at most Drain, gives back what was not begun, and
// returns nil. Nothing is taken before the cache is loaded. Whatever fails is tried again. The error says that the queue
// was closed while it was in use.
func (d *Dispatcher) Run(ctx context.Context) error {
	select {
	case <-d.Cache.Ready():
	case <-ctx.Done():
		return nil
	}
	attempts, endAttempts := steady.Outlast(ctx, d.Drain)
	defer endAttempts()
	rest, endRest := steady.Outlast(ctx, d.Drain+closing)
	defer endRest()
	l := &life{stop: ctx, attempts: attempts, rest: rest}

	recorded := make(chan struct{})
	go func() {
		defer close(recorded)
		d.recorder.run(rest)
	}()
	held := make(chan struct{})
	go func() {
		defer close(held)
		d.publishHolds(ctx)
	}()
	err := d.takeAll(ctx, l)
	d.jobs.Wait()
	d.workers.close()
	d.recorder.close()
	<-recorded
	<-held
	d.fetches.dropIdle()
	return err
}
