package bench

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/app"
	"github.com/postrider/postrider/internal/config"
)

// seeding is what is put straight into the engines while no server runs: events, and deliveries of them in the queue.
type seeding struct {
	run      string // prefix of the ids
	events   int
	targets  []int64
	size     int           // of a payload
	attempts int           // that each delivery has behind it
	delay    time.Duration // until all are due; 0: they have their first attempt before them
	packed   bool          // several events an item, as the consumer puts them; else singles, as failures leave them
}

const seedStep = 500 // events that are appended at once

// seed opens the run's data folder and fills it.
func (r *run) seed(s seeding) error {
	begun := time.Now()
	if err := r.withEngines(func(e *app.Engines) error { return r.fill(e, s) }); err != nil {
		return fmt.Errorf("filling the data folder: %w", err)
	}
	r.tell("%d deliveries were put into the folder in %.0f s", s.events*len(s.targets), time.Since(begun).Seconds())
	return nil
}

// withEngines opens the engines of the run's servers. Embedded ones are free only while no server runs.
func (r *run) withEngines(use func(*app.Engines) error) error {
	c, err := r.config()
	if err != nil {
		return err
	}
	return app.WithEngines(r.ctx, app.Options{Config: c, Version: r.Version, Logger: slog.New(slog.DiscardHandler)}, use)
}

// config is what the run's servers are started with.
func (r *run) config() (*config.Config, error) {
	args := []string{"--data", filepath.Join(r.dir, "data"), "--admin-key=" + r.keys[0], "--secret-key=" + r.secretKey()}
	return config.Parse(append(args, r.Serve...)...)
}

func (r *run) fill(e *app.Engines, s seeding) error {
	reader, err := e.Events.Reader(r.ctx)
	if err != nil {
		return err
	}
	defer reader.Close() //nolint:errcheck // what it has not made durable is matched again
	begun := time.Now()
	for from := 0; from < s.events; from += seedStep {
		events := s.make(r.kind, from, min(seedStep, s.events-from))
		commit, err := e.Events.Append(r.ctx, events)
		if err == nil {
			err = commit.Wait(r.ctx)
		}
		if err != nil {
			return err
		}
		if commit, err = e.Queue.Put(r.ctx, s.items(events, begun, e.Queue.Limits())...); err == nil {
			err = commit.Wait(r.ctx)
		}
		if err != nil {
			return err
		}
		for range events { // what is in the queue is not to be matched again
			b, err := reader.Next(r.ctx)
			if err != nil {
				return err
			}
			reader.Commit(b)
			if b.End == events[len(events)-1].Position {
				break
			}
		}
	}
	return nil
}

func (s *seeding) make(kind string, from, n int) []*postrider.Event {
	events := make([]*postrider.Event, n)
	for i := range events {
		payload := newPayload(s.size)
		events[i] = &postrider.Event{Tenant: postrider.DefaultTenant, ID: s.run + "-" + strconv.Itoa(from+i), Type: kind,
			Payload: postrider.Payload{Size: int64(len(payload)), Bytes: payload}}
	}
	return events
}

// items makes what the queue holds of some events, in the lane where dispatchers would have them. All are due at the same time.
func (s *seeding) items(events []*postrider.Event, begun time.Time, limits postrider.QueueLimits) []postrider.Item {
	due, lane := begun.Add(s.delay), postrider.LaneFirst
	if s.delay > 0 {
		lane = limits.RetryLane(s.delay)
	}
	var items []postrider.Item
	for _, event := range events {
		e := *event
		e.Payload.Bytes = nil // what waits refers to the log
		for _, target := range s.targets {
			d := postrider.Delivery{ID: postrider.NewDeliveryID(&e, target), Event: &e, TargetID: target, Attempts: s.attempts, Start: e.AcceptedAt}
			if s.delay > 0 {
				d.Due, d.LastTry = due, begun
			}
			if n := len(items); s.packed && n > 0 && len(items[n-1].Pack.Deliveries) < postrider.MaxPackEvents {
				items[n-1].Pack.Deliveries = append(items[n-1].Pack.Deliveries, d)
				continue
			}
			items = append(items, postrider.Item{Lane: lane, Delay: max(0, time.Until(due)),
				Pack: &postrider.Pack{Tenant: e.Tenant, Deliveries: []postrider.Delivery{d}}})
		}
	}
	return items
}
