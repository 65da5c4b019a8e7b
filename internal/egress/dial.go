package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/postrider/postrider"
)

const (
	leastTry = 2 * time.Second // what one address of several gets at least, if there is so much time
	maxTries = 8               // addresses of a name that are tried: an answer full of them must not make a scan of it
)

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// dialer returns the DialContext of a transport. The request's own deadline does not reach it, since a transport goes on
// dialling for the next request; ConnectTimeout bounds it.
func (g *Guard) dialer(allowPrivate bool) dialFunc {
	connect := g.connector(allowPrivate)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, g.options.ConnectTimeout)
		defer cancel()
		conn, err := g.dial(ctx, network, addr, allowPrivate, connect)
		g.metrics.dialed(err)
		return conn, err
	}
}

// connector returns what connects to one vetted address: the proxy, the dial that was given, or the system's.
func (g *Guard) connector(allowPrivate bool) dialFunc {
	if g.proxy != nil {
		direct := g.options.Dial
		if direct == nil {
			direct = new(net.Dialer).DialContext
		}
		return func(ctx context.Context, network, addr string) (net.Conn, error) {
			return g.proxy.connect(ctx, direct, network, addr)
		}
	}
	if g.options.Dial != nil {
		return g.options.Dial
	}
	d := new(net.Dialer)
	if !allowPrivate {
		d.Control = g.control
	}
	return d.DialContext
}

// control vets the address of a socket before it connects: the last line, whatever came before it.
func (g *Guard) control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return forbidden(err)
	}
	return g.vet(ap.Addr())
}

// dial resolves, vets, and tries the vetted addresses in the resolver's order until one connects or maxTries
// have failed.
func (g *Guard) dial(ctx context.Context, network, addr string, allowPrivate bool, connect dialFunc) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	addrs, err := g.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	if !allowPrivate {
		if addrs, err = g.vetted(addrs); err != nil {
			return nil, err
		}
	}
	addrs = addrs[:min(len(addrs), maxTries)]
	var first error
	for i, a := range addrs {
		conn, err := try(ctx, connect, network, net.JoinHostPort(a.String(), port), len(addrs)-i)
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// try connects to one address, with its share of the time that is left.
func try(ctx context.Context, connect dialFunc, network, addr string, left int) (net.Conn, error) {
	deadline, ok := ctx.Deadline()
	if ok && left > 1 {
		share := max(time.Until(deadline)/time.Duration(left), leastTry)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, share)
		defer cancel()
	}
	conn, err := connect(ctx, network, addr)
	if err != nil {
		return nil, dialError(network, err)
	}
	return conn, nil
}

// dialError makes every failure to connect a net.OpError of "dial", as a net.Dialer's are.
func dialError(network string, err error) error {
	var op *net.OpError
	if errors.As(err, &op) || postrider.CodeOf(err) == postrider.CodeForbidden {
		return err
	}
	return &net.OpError{Op: "dial", Net: network, Err: err}
}

// resolve returns the addresses of a host: itself, if it is a literal one.
func (g *Guard) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr.Unmap()}, nil
	}
	addrs, err := g.options.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		var dns *net.DNSError
		if errors.As(err, &dns) {
			return nil, err
		}
		return nil, &net.DNSError{UnwrapErr: err, Err: err.Error(), Name: host, IsTimeout: errors.Is(err, context.DeadlineExceeded)}
	}
	if len(addrs) == 0 {
		return nil, &net.DNSError{Err: "no address", Name: strings.TrimSuffix(host, "."), IsNotFound: true}
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap() // resolvers give IPv4 addresses in IPv6 notation
	}
	return addrs, nil
}

// vetted returns those of the addresses that may be reached; the reason why the first may not, if there are none.
func (g *Guard) vetted(addrs []netip.Addr) ([]netip.Addr, error) {
	var refused error
	kept := make([]netip.Addr, 0, len(addrs))
	for _, a := range addrs {
		switch err := g.vet(a); {
		case err == nil:
			kept = append(kept, a)
		case refused == nil:
			refused = err
		}
	}
	if len(kept) == 0 {
		return nil, refused
	}
	return kept, nil
}
