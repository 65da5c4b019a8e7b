package simulation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
)

// wire is the network of one process: its listener, and its connections to targets. A crash cuts all of it at once.
type wire struct {
	accepted chan net.Conn
	down     chan struct{} // closed by a cut
	deaf     chan struct{} // closed with the listener
	once     sync.Once
	deafen   sync.Once
	targets  *hosts

	mu    sync.Mutex
	conns []net.Conn
}

// hosts are the receivers that there are, by address. More may come.
type hosts struct {
	mu     sync.Mutex
	byAddr map[string]*receiver
}

func (h *hosts) add(r *receiver) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.byAddr[fmt.Sprintf("93.184.216.%d", len(h.byAddr)+1)] = r
}

func (h *hosts) at(addr string) *receiver {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.byAddr[addr]
}

// addr returns the address of a name; "" if there is none.
func (h *hosts) addr(name string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for addr, r := range h.byAddr {
		if r.name == name {
			return addr
		}
	}
	return ""
}

var errDown = errors.New("the network is down")

func newWire(targets *hosts) *wire {
	return &wire{accepted: make(chan net.Conn), down: make(chan struct{}), deaf: make(chan struct{}), targets: targets}
}

// cut ends the network: nothing that is on its way arrives.
func (w *wire) cut() {
	w.once.Do(func() { close(w.down) })
	_ = w.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.Close()
	}
	w.conns = nil
}

// pipe makes a connection that a cut ends.
func (w *wire) pipe() (here, there net.Conn, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.down:
		return nil, nil, errDown
	default:
	}
	a, b := net.Pipe()
	w.conns = append(w.conns, a, b)
	return &cable{a, w.down}, &cable{b, w.down}, nil
}

// cable is one end of a connection. Nothing is written once the network is down, though the connections are closed one after
// the other: a cut is one instant.
type cable struct {
	net.Conn
	down <-chan struct{}
}

// Write fails once the network is down.
func (c *cable) Write(b []byte) (int, error) {
	select {
	case <-c.down:
		return 0, errDown
	default:
		return c.Conn.Write(b)
	}
}

// dialAPI connects a client to the process.
func (w *wire) dialAPI(ctx context.Context, _, _ string) (net.Conn, error) {
	return w.dialTo(ctx, w.accepted, w.deaf)
}

// dial connects the process to a target.
func (w *wire) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	r := w.targets.at(strings.TrimSuffix(addr, ":80"))
	if r == nil || r.refuses() {
		return nil, errDown
	}
	return w.dialTo(ctx, r.accepted, r.closed)
}

func (w *wire) dialTo(ctx context.Context, accepted chan<- net.Conn, closed <-chan struct{}) (net.Conn, error) {
	here, there, err := w.pipe()
	if err != nil {
		return nil, err
	}
	select {
	case accepted <- there:
		return here, nil
	case <-closed:
		return nil, errDown
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept takes the next client of the process.
func (w *wire) Accept() (net.Conn, error) {
	select {
	case c := <-w.accepted:
		return c, nil
	case <-w.deaf:
		return nil, net.ErrClosed
	}
}

// Close closes the listener, which is all that a clean stop closes.
func (w *wire) Close() error { w.deafen.Do(func() { close(w.deaf) }); return nil }

// Addr is not used by anybody.
func (w *wire) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8400} }

// LookupNetIP resolves the names of targets, t0.example and so on.
func (w *wire) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if addr := w.targets.addr(strings.TrimSuffix(host, ".")); addr != "" {
		return []netip.Addr{netip.MustParseAddr(addr)}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}
