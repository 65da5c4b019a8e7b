//go:build unix

package egress

import (
	"net"
	"syscall"
)

// canPeek says that alive sees what is to be read.
const canPeek = true

// alive reports whether an idle connection is still open, and has nothing to be read: what comes unasked is no answer to the next
// request. It does not block.
func alive(conn net.Conn) bool {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return true // a simulated one, whose end shows when it is used
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = err == syscall.EAGAIN || err == syscall.EINTR
		return true
	})
	return err == nil && quiet
}
