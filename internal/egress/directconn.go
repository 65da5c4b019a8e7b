package egress

import (
	"bufio"
	"io"
	"net"
	"time"
)

// directConn is a connection of direct, used by one exchange at a time.
type directConn struct {
	net.Conn
	addr   string
	pool   *idlePool
	limit  io.LimitedReader // between the connection and reader
	reader *bufio.Reader
	writer *bufio.Writer

	requests  requestWriter
	began     bool        // a byte of the response came
	interrupt func() bool // stops what cuts the exchange off when its context ends

	since time.Time // idle since
	spot  spot      // among those that are idle
}

func newDirectConn(conn net.Conn, addr string, pool *idlePool) *directConn {
	c := &directConn{Conn: conn, addr: addr, pool: pool, limit: io.LimitedReader{R: conn}, writer: bufio.NewWriterSize(conn, 4<<10)}
	c.reader = bufio.NewReaderSize(&c.limit, 4<<10)
	return c
}

// cutOff ends what reads or writes.
func (c *directConn) cutOff() { _ = c.SetDeadline(time.Unix(1, 0)) }

// finish ends an exchange. A connection that has more to read than was asked for is not used again.
func (c *directConn) finish(reuse bool) {
	if inTime := c.interrupt(); !inTime || !reuse || c.reader.Buffered() > 0 {
		c.Close()
		return
	}
	c.pool.put(c)
}
