package gateway

import (
	"net"
	"syscall"
)

// sight is what there is to read on a connection.
type sight uint8

const (
	seesNothing sight = iota // it is open, and quiet
	seesBytes
	seesEnd // the other side has closed it
)

// looker looks at a connection that nobody reads at the time.
type looker struct {
	raw  syscall.RawConn // nil: it cannot be looked at
	peek func(fd uintptr)
	seen sight
	room [1]byte
}

func (l *looker) at(c net.Conn) {
	if s, ok := c.(syscall.Conn); ok {
		l.raw, _ = s.SyscallConn()
	}
	l.peek = l.peekFD // once, or each look would allocate it
}
