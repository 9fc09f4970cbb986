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
	err = c.waitRead(until, func() error {
		n, err = c.Conn.Read(p)
		return err
	})
	return n, err
}

// waitRead calls a function that reads, again after each deadline that was too early for this read.
func (c *timedConn) waitRead(until time.Time, read func() error) error {
	if c.readBy.IsZero() || until.Before(c.readBy) {
		if err := c.setRead(until); err != nil {
			return err
		}
	}
	for {
		err := read()
		if !errors.Is(err, os.ErrDeadlineExceeded) || !c.readBy.Before(until) {
			return err
		}
		if err := c.setRead(until); err != nil {
			return err
		}
	}
}

func (c *timedConn) setRead(until time.Time) error {
	c.readBy = until
	return c.SetReadDeadline(until)
}

// write writes all of p, or returns an error.
func (c *timedConn) write(p []byte, until time.Time) (n int, err error) {
	if c.writeBy.IsZero() || until.Before(c.writeBy) {
		err = c.setWrite(until)
	}
	for err == nil {
		var m int
		m, err = c.Conn.Write(p[n:])
		n += m
		if !errors.Is(err, os.ErrDeadlineExceeded) || !c.writeBy.Before(until) {
			return n, err
		}
		err = c.setWrite(until)
	}
	return n, err
}

func (c *timedConn) setWrite(until time.Time) error {
	c.writeBy = until
	return c.SetWriteDeadline(until)
}
