package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/client"
)

type listenCommand struct {
	remote
	tenancy
	Events  []string `help:"Event types to receive: exact ones, prefixes such as core.orders.*, or * for all." default:"*" group:"Receiver"`
	Address string   `help:"Address of loopback to receive at; port 0 takes any." default:"127.0.0.1:0" group:"Receiver"`
	Status  int      `help:"Status to answer with." default:"200" group:"Receiver"`
	Full    bool     `help:"Show payloads whole, however large." group:"Receiver"`
}

// Run receives until a signal, and removes what it registered.
func (l *listenCommand) Run(e *env) error {
	if err := l.check(); err != nil {
		return err
	}
	c, err := l.connect(l.Tenant)
	if err != nil {
		return err
	}
	in, err := openInbox(e.ctx, l.Address, func(*arrival) int { return l.Status })
	if err != nil {
		return err
	}
	defer in.close()
	r, err := register(e.ctx, c, in, "postrider listen", l.Events)
	defer func() { r.remove(e) }()
	if err != nil {
		return err
	}
	e.out.printf("listening at %s for %v as target %d; ctrl-c ends it and removes the target", in.url, l.Events, r.target)
	for {
		select {
		case a := <-in.arrivals:
			l.show(e.out, &a)
		case <-e.ctx.Done():
			return nil
		}
	}
}

// check refuses an address that others could reach, and what is no status.
func (l *listenCommand) check() error {
	host, _, err := net.SplitHostPort(l.Address)
	addr, perr := netip.ParseAddr(host)
	if err != nil || host != "localhost" && (perr != nil || !addr.IsLoopback()) {
		return fmt.Errorf("--address %q: must be an address of loopback and a port, such as 127.0.0.1:9000", l.Address)
	}
	if l.Status < http.StatusOK || l.Status > 599 {
		return fmt.Errorf("--status %d: must be 200 to 599", l.Status)
	}
	return nil
}

// show shows a message.
func (l *listenCommand) show(t *terminal, a *arrival) {
	t.printf("%s %s  %s  %s  attempt %d%s  %s  %s", t.paint(dim, time.Now().Format("15:04:05.000")), t.paint(bold, printable(a.Type)),
		printable(a.ID), size(int64(len(a.Body))), a.Attempt, replayed(a), t.signature(a), t.answered(a))
	const most = 2 << 10
	switch {
	case !utf8.Valid(a.Body):
		t.printf("  %s", t.paint(dim, fmt.Sprintf("%s, binary, sha256 %x", printable(a.ContentType), a.Digest)))
	case len(a.Body) > most && !l.Full:
		t.printf("  %s %s", printable(string(a.Body[:most])), t.paint(dim, "…"))
	case len(a.Body) > 0:
		t.printf("  %s", printable(string(a.Body)))
	}
}

func replayed(a *arrival) string {
	if a.Replay == 0 {
		return ""
	}
	return fmt.Sprintf("  replay %d", a.Replay)
}

// registration is what a receiver has registered.
type registration struct {
	client                       *client.Client
	target, filter, subscription int64
}

// register makes target, filter and subscription for an inbox. What was made is in the registration even if it fails.
func register(ctx context.Context, c *client.Client, in *inbox, name string, events []string) (*registration, error) {
	r := &registration{client: c}
	target, err := c.CreateTarget(ctx, client.Target{Name: name, URL: in.url, AllowPrivate: true})
	if err != nil {
		return r, fmt.Errorf("registering the target: %w", err)
	}
	r.target = target.ID
	if err := in.trust(target.Secret); err != nil {
		return r, err
	}
	filter, err := c.CreateFilter(ctx, client.Filter{Events: events})
	if err != nil {
		return r, fmt.Errorf("making the filter: %w", err)
	}
	r.filter = filter.ID
	sub, err := c.CreateSubscription(ctx, client.Subscription{TargetID: target.ID, FilterID: filter.ID})
	if err != nil {
		return r, fmt.Errorf("making the subscription: %w", err)
	}
	r.subscription = sub.ID
	return r, nil
}

// remove deletes what was registered, also after the command was interrupted.
func (r *registration) remove(e *env) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), 10*time.Second)
	defer cancel()
	var errs []error
	if r.target != 0 {
		errs = append(errs, r.client.DeleteTarget(ctx, r.target, true))
	}
	if r.filter != 0 {
		errs = append(errs, r.client.DeleteFilter(ctx, r.filter, true))
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintf(e.err, "postrider: target %d and filter %d could not be removed: %v\n", r.target, r.filter, err)
	}
}
