package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// acceptPause is the wait after an accept that failed, which is mostly for want of descriptors.
	acceptPause = 50 * time.Millisecond
	// drainPoll is how often a drain looks for connections that have become idle.
	drainPoll = 5 * time.Millisecond
	// freshGrace is how long a drain waits for the first request of a new connection: it may be on its way.
	freshGrace = time.Second
)

// plainConns are the clients' connections that net/http does not have.
type plainConns struct {
	serving sync.WaitGroup

	mu   sync.Mutex
	open map[*plainConn]struct{}
}

// accept serves the connections of a listener, those with TLS on either side by net/http alone, until it is closed, and returns the error if it was not closed by a drain.
func (g *Gateway) accept(ctx context.Context, l *limitedListener) error {
	for {
		conn, err := l.Accept()
		switch {
		case err == nil && g.tls != nil:
			g.handoff.Push(tls.Server(conn, g.tls)) // net/http makes the handshake
		case err == nil && plainWorks && g.cfg.TLS == nil:
			g.plain.start(g.newPlainConn(conn))
		case err == nil:
			g.handToNet(conn, nil)
		case g.draining.Load():
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			g.log.Warn("accept a connection", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
		}
	}
}

func (p *plainConns) start(c *plainConn) {
	p.mu.Lock()
	p.open[c] = struct{}{}
	p.mu.Unlock()
	p.serving.Go(func() {
		c.run()
		p.mu.Lock()
		delete(p.open, c)
		p.mu.Unlock()
	})
}

// drain closes each connection once it is idle, until none is left or ctx ends.
func (p *plainConns) drain(ctx context.Context) error {
	begin := time.Now()
	ticker := time.NewTicker(drainPoll)
	defer ticker.Stop()
	for {
		fresh := time.Since(begin) >= freshGrace
		p.mu.Lock()
		left := len(p.open)
		for c := range p.open {
			if c.state.CompareAndSwap(connIdle, connClosed) || fresh && c.state.CompareAndSwap(connFresh, connClosed) {
				c.client.Close()
			}
		}
		p.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// close closes all connections.
func (p *plainConns) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		c.client.Close()
	}
}

// handToNet gives a connection, of which first was read already, to net/http's server.
func (g *Gateway) handToNet(conn *countedConn, first []byte) {
	conn.SetDeadline(time.Time{}) // net/http sets its own
	g.handoff.Push(&replayedConn{countedConn: conn, first: bytes.Clone(first)})
}

// replayedConn is a connection whose first bytes come again.
type replayedConn struct {
	*countedConn
	first []byte // not read yet
}

func (c *replayedConn) Read(p []byte) (int, error) {
	if len(c.first) == 0 {
		return c.countedConn.Read(p)
	}
	n := copy(p, c.first)
	if c.first = c.first[n:]; len(c.first) == 0 {
		c.first = nil
	}
	return n, nil
}
