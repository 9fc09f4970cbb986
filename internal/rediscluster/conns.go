package rediscluster

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
)

const (
	// mostConns is how many connections to one node may be open: one carries all commands, and each redirection of a node to itself makes a
	// new one, of which the old one is closed seconds later.
	mostConns = 64
	// mostWaiting is how many more there may be where each write has one of its own, for replicas are to confirm it.
	mostWaiting = 1024
)

var (
	errManyConns = errors.New("too many connections to this node are open: does it send clients to itself?")
	errClosed    = errors.New("the store is closed")
)

// conns are the open connections. The zero value has none.
type conns struct {
	mu     sync.Mutex
	open   map[*conn]struct{}
	to     map[string]int // how many, by address
	closed bool
}

// conn is a connection that is counted until it is closed.
type conn struct {
	net.Conn
	addr string
	in   *conns
}

func (c *conn) Close() error {
	c.in.mu.Lock()
	if _, open := c.in.open[c]; open {
		delete(c.in.open, c)
		c.in.left(c.addr)
	}
	c.in.mu.Unlock()
	return c.Conn.Close()
}

// enter counts a connection that is about to be opened, unless there are most.
func (cs *conns) enter(addr string, most int) error {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	switch {
	case cs.closed:
		return errClosed
	case cs.to[addr] >= most:
		return errManyConns
	}
	if cs.to == nil {
		cs.to, cs.open = map[string]int{}, map[*conn]struct{}{}
	}
	cs.to[addr]++
	return nil
}

// left takes one off again. The mutex must be held.
func (cs *conns) left(addr string) {
	if cs.to[addr]--; cs.to[addr] == 0 {
		delete(cs.to, addr)
	}
}

// hold keeps an opened connection, unless they were closed meanwhile.
func (cs *conns) hold(c net.Conn, addr string) (net.Conn, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.closed {
		cs.left(addr)
		c.Close()
		return nil, errClosed
	}
	held := &conn{c, addr, cs}
	cs.open[held] = struct{}{}
	return held, nil
}

// close closes all, and lets none be opened any more.
func (cs *conns) close() {
	cs.mu.Lock()
	cs.closed = true
	var open []*conn
	for c := range cs.open {
		open = append(open, c)
	}
	cs.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
}

// dial opens a connection to a node. A failure is told in a way that says that nothing was sent.
func (s *Store) dial(ctx context.Context, addr string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
	most := mostConns
	if s.cfg.Replicas > 0 {
		most += mostWaiting
	}
	err := s.conns.enter(addr, most)
	if err != nil {
		return nil, notDialled(err)
	}
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	c, err := d.DialContext(ctx, "tcp", addr)
	if err == nil && s.cfg.TLS != nil {
		c, err = s.cfg.TLS.Client(ctx, c, addr)
	}
	if err == nil {
		c, err = s.conns.hold(c, addr)
	} else {
		s.conns.mu.Lock()
		s.conns.left(addr)
		s.conns.mu.Unlock()
	}
	if err != nil {
		return nil, notDialled(err)
	}
	return c, nil
}

func notDialled(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return err
	}
	return &net.OpError{Op: "dial", Net: "tcp", Err: err}
}
