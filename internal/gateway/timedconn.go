package gateway

import (
	"errors"
	"net"
	"os"
	"time"
)

// timedConn is a connection whose reads and writes end by a time. A deadline of net.Conn costs more than a small read, so
// one that was set stays until it passes, or an earlier one is wanted; who is woken by it too early waits on.
type timedConn struct {
	net.Conn
	readBy, writeBy time.Time // the deadlines that the connection has; zero: none yet
}

// read reads once. The error is os.ErrDeadlineExceeded when nothing came until then.
func (c *timedConn) read(p []byte, until time.Time) (n int, err error) {
	for {
		if c.readBy.IsZero() || until.Before(c.readBy) || errors.Is(err, os.ErrDeadlineExceeded) {
			if err := c.SetReadDeadline(until); err != nil {
				return 0, err
			}
			c.readBy = until
		}
		n, err = c.Conn.Read(p)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !c.readBy.Before(until) {
			return n, err
		}
	}
}

// write writes all of p, or returns an error.
func (c *timedConn) write(p []byte, until time.Time) (n int, err error) {
	for {
		if c.writeBy.IsZero() || until.Before(c.writeBy) || errors.Is(err, os.ErrDeadlineExceeded) {
			if err := c.SetWriteDeadline(until); err != nil {
				return n, err
			}
			c.writeBy = until
		}
		var m int
		m, err = c.Conn.Write(p[n:])
		if n += m; !errors.Is(err, os.ErrDeadlineExceeded) || !c.writeBy.Before(until) {
			return n, err
		}
	}
}
