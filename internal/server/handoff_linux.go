package server

import (
	"bytes"
	"fmt"
	"net"
	"os"
)

// handoffFD gives a descriptor, of which first was read already, to who takes it as a connection and keeps first. The
// descriptor belongs to the callee, also when there is an error.
func handoffFD(fd int, first []byte, p *peer, give func(c net.Conn, first []byte, p *peer)) error {
	f := os.NewFile(uintptr(fd), "client")
	c, err := net.FileConn(f) // a duplicate
	f.Close()
	if err != nil {
		return fmt.Errorf("duplicate a socket: %w", err)
	}
	give(c, first, p)
	return nil
}

// giveAway hands a connection, of which first was read already, to goroutines.
func (l *loop) giveAway(c *conn, first []byte, to func(net.Conn, []byte, *peer)) {
	first = bytes.Clone(first) // it may lie in a buffer of the connection's
	l.forget(c)
	if err := handoffFD(c.fd, first, c.peer, to); err != nil {
		l.srv.logger.Warn("hand a connection to a goroutine", "err", err)
		l.srv.closed(c.peer)
	}
}
