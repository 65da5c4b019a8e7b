package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/app"
	"github.com/postrider/postrider/internal/slot"
)

const (
	managerRSS = 100 // MiB
	lateAtMost = 2   // s
	pendingFor = 5 * time.Minute

	// takeAhead is the credit with which the bench takes: so much that the engine receives as many messages at a time as it ever does.
	takeAhead = 8000
)

// pile is deliveries that wait in the retry lane.
type pile struct {
	name    string
	targets int
	pack    int           // deliveries a message, as failures leave them
	over    time.Duration // from the first that is due to the last; 0: all at once
	inline  bool          // their payloads of 1 KB travel with them; else they are stored
	watch   time.Duration // how long the manager is looked at once the first is due; 0: until all are handed on
}

// piles are in the order in which they are measured: the last leaves retries in the queue.
var piles = []pile{
	{name: "of one target, due at once", targets: 1, pack: 50},
	{name: "the same with 1 KB in each", targets: 1, pack: postrider.MaxPackEvents, inline: true},
	{name: "the same in packs with room", targets: 1, pack: postrider.MaxPackEvents - 1, inline: true},
	{name: "of 100 targets over an hour", targets: 100, pack: 4, over: time.Hour, watch: time.Minute},
}

// pending puts very many retries away, has a retry manager in a process of its own hand on what is due, and takes that in the
// dispatchers' stead.
func pending(r *run) error {
	if _, err := r.apart(); err != nil {
		return err
	}
	n := r.Pending / dueShare
	r.figure("pending", float64(n), "")
	return r.withEngines(func(e *app.Engines) error {
		for _, p := range piles {
			if err := r.manage(e.Queue, p, n); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
		return nil
	})
}

// manage measures a retry manager on a pile of n.
func (r *run) manage(q postrider.Queue, p pile, n int) error {
	due := time.Now().Add(p.patience(n)).Truncate(time.Second)
	messages, err := p.put(r.ctx, q, n, due)
	if err != nil {
		return err
	}
	s, err := r.serveRoles([]string{"retry"})
	if err != nil {
		return err
	}
	defer s.stop()
	if time.Now().After(due) {
		r.note("%s: the queue took them so slowly that the first were due before the manager began", p.name)
	}
	if p.watch > 0 {
		if err := pause(r.ctx, time.Until(due)); err != nil {
			return err
		}
	}
	before, begun := asked(s.metrics()), time.Now()
	got, err := p.take(r.ctx, q, n)
	if err != nil {
		return err
	}
	requests, took := asked(s.metrics())-before, time.Since(begun)
	r.tell("%s: %d messages, %d handed on, up to %.1f s late", p.name, messages, got.deliveries, got.late.Seconds())
	r.figure(p.name+": messages", float64(messages), "")
	r.figure(p.name+": handed on", float64(got.deliveries), "")
	if p.inline { // the server is busy with their bytes
		r.figure(p.name+": handed on at most so late", got.late.Seconds(), "s")
	} else {
		r.atMost(p.name+": handed on at most so late", got.late.Seconds(), "s", lateAtMost)
	}
	if p.watch == 0 {
		r.figure(p.name+": requests of the manager", requests, "")
	} else {
		r.figure(p.name+": requests of the manager", requests/took.Minutes(), "a minute")
	}
	if u, known := s.usage(); known {
		r.atMost(p.name+": peak RSS of the manager", mib(u.peak), "MiB", managerRSS)
	}
	if p.watch == 0 && got.deliveries < n {
		return fmt.Errorf("%d of %d were handed on within %s", got.deliveries, n, pendingFor)
	}
	return nil
}

// patience is how long it may take to put n away, and a process to start. Large messages take a server longer.
func (p *pile) patience(n int) time.Duration {
	each := 2 * time.Millisecond
	if p.inline {
		each = 6 * time.Millisecond
	}
	return 10*time.Second + time.Duration(n/p.pack)*each
}

// put puts n deliveries away, the first of them due at a time, and returns how many messages that made.
func (p *pile) put(ctx context.Context, q postrider.Queue, n int, due time.Time) (messages int, err error) {
	limits := q.Limits()
	var commits []*postrider.Commit
	for at := 0; at < n; at += p.pack {
		pack := p.make(at, min(at+p.pack, n), due.Add(p.over*time.Duration(at)/time.Duration(n)))
		lane, delay := slot.Place(pack.Deliveries, time.Now(), &limits) // as dispatchers do
		commit, err := q.Put(ctx, postrider.Item{Lane: lane, Pack: pack, Delay: delay})
		if err != nil {
			return 0, err
		}
		commits = append(commits, commit)
	}
	for _, c := range commits {
		if err := c.Wait(ctx); err != nil {
			return 0, err
		}
	}
	return len(commits), nil
}

// make makes a pack of deliveries of one target that are due at once.
func (p *pile) make(from, to int, due time.Time) *postrider.Pack {
	payload := postrider.Payload{Size: 1000, Key: "default/2026-01-01/key"}
	if p.inline {
		payload = postrider.Payload{Size: 1000, Bytes: []byte(strings.Repeat("x", 1000))}
	}
	pack, target := &postrider.Pack{Tenant: postrider.DefaultTenant}, int64(1+from/p.pack%p.targets)
	for i := from; i < to; i++ {
		e := &postrider.Event{ID: fmt.Sprint("evt_", i), Tenant: pack.Tenant, Type: nobodyType, AcceptedAt: time.Now().UTC().Truncate(time.Millisecond),
			Position: postrider.Position(fmt.Sprint("0-", i)), Payload: payload}
		pack.Deliveries = append(pack.Deliveries, postrider.Delivery{ID: postrider.NewDeliveryID(e, target), Event: e, TargetID: target, Version: 1,
			Attempts: 1, Start: e.AcceptedAt, Due: due, LastTry: e.AcceptedAt})
	}
	return pack
}

// taken is what a manager handed on.
type taken struct {
	deliveries int // each once
	late       time.Duration
}

// take takes what the manager hands on, until that is all n or the time is over.
func (p *pile) take(ctx context.Context, q postrider.Queue, n int) (got taken, err error) {
	limit := p.watch
	if limit == 0 {
		limit = pendingFor
	}
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	seen := make(map[postrider.DeliveryID]bool, n)
	for len(seen) < n {
		leases, err := q.Take(bounded, postrider.TakeRequest{Lane: postrider.LaneBulk, Credit: takeAhead})
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			break
		}
		if err != nil {
			return got, err
		}
		now := time.Now()
		for _, l := range leases {
			for i := range l.Pack.Deliveries {
				d := &l.Pack.Deliveries[i]
				seen[d.ID], got.late = true, max(got.late, now.Sub(d.Due))
			}
			if _, err := q.Settle(ctx, l); err != nil {
				return got, err
			}
		}
	}
	got.deliveries = len(seen)
	return got, nil
}
