package app

import (
	"container/list"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postrider/postrider/internal/egress"
)

const (
	maxConnections = 4096 // of clients, in all
	idlePools      = 4    // of connections to targets: over HTTP/1.1 and by net/http, to public and to private addresses
	farewellTime   = time.Second
)

// crowded is what a client gets that finds every place taken by requests that are being served.
const crowded = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Type: application/problem+json\r\nContent-Length: 88\r\n\r\n" +
	`{"title":"Service Unavailable","status":503,"detail":"too many requests at the moment"}` + "\n"

// crowd bounds how many connections a server has. Where one comes too many, the connection that has been without a
// complete request for the longest gives way: clients that hold connections, or trickle a head into them, cannot keep
// others out. Only if every connection serves a request is the new one refused.
type crowd struct {
	max int

	mu      sync.Mutex
	shut    bool
	places  map[net.Conn]*list.Element // of waiting, or nil while it serves a request
	waiting *list.List                 // of net.Conn; the longest wait is first
}

func newCrowd(limit int) *crowd {
	return &crowd{max: limit, places: map[net.Conn]*list.Element{}, waiting: list.New()}
}

// connectionLimit leaves most of the descriptors that the process may have to deliveries and files.
func connectionLimit() int { return shareOfFiles(4, maxConnections) }

// idleLimit is how many connections to targets each pool keeps: in all at most a quarter of the descriptors.
func idleLimit() int { return shareOfFiles(4*idlePools, egress.DefaultMaxIdle) }

// shareOfFiles is one of so many parts of the descriptors that the process may have, at least 16 and at most a bound.
func shareOfFiles(parts uint64, most int) int {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil || r.Cur/parts > uint64(most) {
		return most
	}
	return max(int(r.Cur/parts), 16)
}

// track is the server's ConnState. A connection is new or idle until the head of a request is complete, then active.
func (c *crowd) track(conn net.Conn, state http.ConnState) {
	leave, refused := c.note(conn, state)
	if leave == nil {
		return
	}
	if refused {
		_ = leave.SetWriteDeadline(time.Now().Add(farewellTime)) // nothing was sent on it, so the kernel has room
		_, _ = io.WriteString(leave, crowded)                    // it may be gone already
	}
	leave.Close()
}

// note counts a connection, and returns one that has to leave, or nil; refused if it is the new one.
func (c *crowd) note(conn net.Conn, state http.ConnState) (leave net.Conn, refused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch place, known := c.places[conn]; {
	case state == http.StateNew && c.shut:
		return conn, false
	case state == http.StateNew:
		if len(c.places) >= c.max {
			if leave = c.evict(); leave == nil {
				return conn, true
			}
		}
		c.places[conn] = c.waiting.PushBack(conn)
	case !known: // it was refused or evicted
	case state == http.StateIdle && place == nil:
		c.places[conn] = c.waiting.PushBack(conn)
	case state == http.StateActive && place != nil:
		c.waiting.Remove(place)
		c.places[conn] = nil
	case state == http.StateClosed || state == http.StateHijacked:
		c.forget(conn, place)
	}
	return leave, false
}

// disperse closes the connections that serve no request, and every later one. Without it a shutdown waits for those that
// have not begun one.
func (c *crowd) disperse() {
	c.mu.Lock()
	c.shut = true
	var waiting []net.Conn
	for conn := c.evict(); conn != nil; conn = c.evict() {
		waiting = append(waiting, conn)
	}
	c.mu.Unlock()
	for _, conn := range waiting {
		conn.Close()
	}
}

// evict takes the place of the connection that has waited the longest; nil if none waits.
func (c *crowd) evict() net.Conn {
	first := c.waiting.Front()
	if first == nil {
		return nil
	}
	conn, _ := first.Value.(net.Conn)
	c.forget(conn, first)
	return conn
}

func (c *crowd) forget(conn net.Conn, place *list.Element) {
	if place != nil {
		c.waiting.Remove(place)
	}
	delete(c.places, conn)
}
