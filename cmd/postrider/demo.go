package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/internal/app"
	"github.com/postrider/postrider/internal/config"
)

type demoCommand struct {
	Keep bool `help:"Stay up afterwards, until interrupted, to be tried by hand."`
}

// demoPatience is how long the demo waits for its deliveries.
const demoPatience = time.Minute

// flaky is the type whose first attempts the demo's receiver refuses.
const (
	flaky    = "core.orders.paid.v1"
	refusals = 2
)

// Run shows the whole flow. It fails unless everything arrived as it was sent.
func (d *demoCommand) Run(e *env) error {
	dir, err := os.MkdirTemp("", "postrider-demo-")
	if err != nil {
		return fmt.Errorf("making a temporary folder: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover in the temporary folder does no harm
	s := &show{t: e.out, begun: time.Now(), sent: map[string]*sending{}}
	s.t.printf("%s\n", s.t.paint(bold, "Postrider: from an event to its signed delivery"))
	server, err := startDemo(e, dir)
	if err != nil {
		return err
	}
	err = d.run(e, s, server)
	return errors.Join(err, server.stop())
}

func (d *demoCommand) run(e *env, s *show, server *demoServer) error {
	s.step("server", "started at %s, all roles in one process, one file in %s", server.ready.URL, server.dir)
	c, err := client.New(client.Options{URL: server.ready.URL, Key: server.ready.AdminKey})
	if err != nil {
		return err
	}
	in, err := openInbox(e.ctx, "127.0.0.1:0", refuseFlaky)
	if err != nil {
		return err
	}
	defer in.close()
	s.step("receiver", "listening at %s; it checks each signature", in.url)
	if err := s.register(e.ctx, c, in); err != nil {
		return err
	}
	if err := s.publish(e.ctx, c); err != nil {
		return err
	}
	if err := s.receive(e.ctx, in, server.ended); err != nil {
		return err
	}
	if err := s.summary(e.ctx, c); err != nil {
		return err
	}
	if d.Keep {
		return d.keep(e, s, in, server)
	}
	return nil
}

// refuseFlaky answers 503 to the first attempts of one type.
func refuseFlaky(a *arrival) int {
	if a.Type == flaky && a.Attempt <= refusals {
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}

// demoServer is a whole server in this process.
type demoServer struct {
	dir    string
	ready  app.Ready
	cancel context.CancelFunc
	ended  chan error
}

func startDemo(e *env, dir string) (*demoServer, error) {
	c, err := config.Parse("--data", dir, "--listen", "127.0.0.1:0", "--retry-base", "400ms", "--retry-max", "2s", "--drain", "5s")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(e.ctx))
	s := &demoServer{dir: dir, cancel: cancel, ended: make(chan error, 1)}
	ready := make(chan app.Ready, 1)
	number, _ := build()
	go func() {
		s.ended <- app.Run(ctx, app.Options{
			Config: c, Version: number, Ready: func(r app.Ready) { ready <- r },
			Logger: slog.New(slog.NewTextHandler(e.err, &slog.HandlerOptions{Level: slog.LevelWarn})),
		})
	}()
	select {
	case s.ready = <-ready:
		return s, nil
	case err := <-s.ended:
		cancel()
		return nil, fmt.Errorf("the server did not start: %w", err)
	case <-e.ctx.Done():
		return nil, errors.Join(errInterrupted, s.stop())
	}
}

var errInterrupted = errors.New("interrupted")

func (s *demoServer) stop() error {
	s.cancel()
	return <-s.ended
}

// sending is an event of the demo and what became of it.
type sending struct {
	eventType string
	note      string
	payload   []byte
	id        string
	messages  int
	taken     bool
}

// demoEvents are a small event, a large one, and one whose first attempts fail.
func demoEvents() []*sending {
	large := bytes.Repeat([]byte(`{"sku": "demo", "stock": 12345}`+"\n"), 3<<20/32)
	return []*sending{
		{eventType: "core.orders.created.v1", note: "small", payload: []byte(`{"order": 1001, "total": "49.90", "currency": "EUR"}`)},
		{eventType: "core.inventory.export.v1", note: "large", payload: large},
		{eventType: flaky, note: fmt.Sprintf("the receiver refuses its first %d attempts", refusals), payload: []byte(`{"order": 1001, "paid": true}`)},
	}
}

// show is the demo's output and ledger.
type show struct {
	t        *terminal
	begun    time.Time
	steps    int
	order    []*sending
	sent     map[string]*sending // by id
	messages int
	faults   []string
}

// step tells a step.
func (s *show) step(what, format string, args ...any) {
	s.steps++
	s.t.printf("%s %s %s", s.t.paint(dim, fmt.Sprintf("%2d", s.steps)), s.t.paint(cyan, fmt.Sprintf("%-13s", what)), fmt.Sprintf(format, args...))
}

func (s *show) register(ctx context.Context, c *client.Client, in *inbox) error {
	r, err := register(ctx, c, in, "demo", []string{"core.*"})
	if err != nil {
		return err
	}
	s.step("target", "%d → %s, with a secret of its own to sign with", r.target, in.url)
	s.step("filter", "%d: core.*", r.filter)
	s.step("subscription", "%d binds the two", r.subscription)
	return nil
}

func (s *show) publish(ctx context.Context, c *client.Client) error {
	for _, one := range demoEvents() {
		begun := time.Now()
		id, err := c.Publish(ctx, client.Event{Type: one.eventType, Payload: one.payload})
		if err != nil {
			return fmt.Errorf("publishing %s: %w", one.eventType, err)
		}
		one.id = id
		s.order = append(s.order, one)
		s.sent[id] = one
		s.step("event", "%s, %s (%s): 202 after %s, safe on disk as %s", s.t.paint(bold, one.eventType), size(int64(len(one.payload))), one.note,
			time.Since(begun).Round(100*time.Microsecond), id)
	}
	s.t.printf("")
	return nil
}

// receive shows what arrives until every event was taken.
func (s *show) receive(ctx context.Context, in *inbox, ended chan error) error {
	timer := time.NewTimer(demoPatience)
	defer timer.Stop()
	for !s.complete() {
		select {
		case a := <-in.arrivals:
			s.arrived(&a)
		case err := <-ended:
			ended <- err
			return errors.New("the server ended")
		case <-ctx.Done():
			return errInterrupted
		case <-timer.C:
			return fmt.Errorf("not everything arrived within %s", demoPatience)
		}
	}
	if len(s.faults) > 0 {
		return errors.New(strings.Join(s.faults, "; "))
	}
	return nil
}

func (s *show) complete() bool {
	for _, one := range s.order {
		if !one.taken {
			return false
		}
	}
	return true
}

// arrived shows a message and enters it in the ledger.
func (s *show) arrived(a *arrival) {
	s.messages++
	same := s.t.paint(red, "bytes differ")
	one := s.sent[a.ID]
	switch {
	case one == nil:
		s.faults = append(s.faults, a.ID+" arrived, which was not sent")
	case a.Digest != sha256.Sum256(one.payload):
		s.faults = append(s.faults, a.ID+" arrived with other bytes than were sent")
	case a.Fault != nil:
		s.faults = append(s.faults, a.ID+" arrived with a bad signature")
	default:
		same = s.t.paint(green, "bytes as sent")
		one.messages++
		one.taken = one.taken || a.Answered < http.StatusMultipleChoices
	}
	s.t.printf("   %s %s  attempt %d  %s  %s  %s  %s", s.t.paint(dim, fmt.Sprintf("+%5.2f s", a.At.Sub(s.begun).Seconds())),
		s.t.paint(bold, fmt.Sprintf("%-24s", printable(a.Type))), a.Attempt, fmt.Sprintf("%8s", size(int64(len(a.Body)))), s.t.signature(a), same, s.t.answered(a))
}

// summary waits until the API shows every delivery as delivered, and tells what was done.
func (s *show) summary(ctx context.Context, c *client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s.t.printf("\n%s", s.t.paint(bold, "What the API says of them"))
	for _, one := range s.order {
		d, err := awaitDelivered(ctx, c, one.id)
		if err != nil {
			return fmt.Errorf("%s: %w", one.eventType, err)
		}
		s.t.printf("   %s %s  attempts %d", s.t.paint(bold, fmt.Sprintf("%-24s", one.eventType)), s.t.paint(green, d.State), d.Attempts)
	}
	s.t.printf("\n%s", s.t.paint(green, fmt.Sprintf("%d events accepted, %d delivered in %d messages, every signature and every byte checked, in %.1f s",
		len(s.order), len(s.order), s.messages, time.Since(s.begun).Seconds())))
	return nil
}

// awaitDelivered asks until the one delivery of an event is delivered, since the API shows outcomes with a delay.
func awaitDelivered(ctx context.Context, c *client.Client, event string) (*client.Delivery, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		page, err := c.Deliveries(ctx, client.DeliveryQuery{EventID: event})
		if err != nil {
			return nil, err
		}
		if len(page.Items) == 1 && page.Items[0].State == "delivered" {
			return &page.Items[0], nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.New("the API does not show it as delivered")
		}
	}
}

// keep stays up, and goes on to show what arrives.
func (d *demoCommand) keep(e *env, s *show, in *inbox, server *demoServer) error {
	s.t.printf("\nThe server stays up at %s until ctrl-c. In another terminal:\n", server.ready.URL)
	s.t.printf("   export POSTRIDER_SERVER=%s POSTRIDER_DATA=%s", server.ready.URL, server.dir)
	s.t.printf("   echo '{\"hello\": \"world\"}' | postrider send core.hello.v1\n")
	for {
		select {
		case a := <-in.arrivals:
			(&listenCommand{}).show(s.t, &a)
		case err := <-server.ended:
			server.ended <- err
			return errors.New("the server ended")
		case <-e.ctx.Done():
			return nil
		}
	}
}
