package gateway

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/futago/futago/internal/addr"
)

// pool holds the connections of plain requests to one upstream. The one used last is used next, so that those that
// are not needed grow old.
type pool struct {
	network, address string
	ctx              context.Context // ends dials at close
	cancel           context.CancelFunc

	mu     sync.Mutex
	idle   []*upstreamConn
	open   map[*upstreamConn]struct{} // idle and in use
	closed bool
}

func newPool(at string) *pool {
	p := &pool{open: make(map[*upstreamConn]struct{})}
	p.network, p.address, _ = addr.Split(at) // Config.Validate has passed
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// take returns an idle connection, or nil.
func (p *pool) take(now time.Time) *upstreamConn {
	for {
		p.mu.Lock()
		n := len(p.idle)
		if n == 0 {
			p.mu.Unlock()
			return nil
		}
		c := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		if now.Sub(c.since) < idleConnTimeout {
			return c
		}
		p.discard(c)
	}
}

// dial opens a connection.
func (p *pool) dial(until time.Time) (*upstreamConn, error) {
	dialer := net.Dialer{Deadline: until}
	conn, err := dialer.DialContext(p.ctx, p.network, p.address)
	if err != nil {
		return nil, err
	}
	c := &upstreamConn{pool: p, conn: timedConn{Conn: conn}}
	c.raw.init(conn)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		conn.Close()
		return nil, net.ErrClosed
	}
	p.open[c] = struct{}{}
	return c, nil
}

// put keeps a connection whose last exchange is complete.
func (p *pool) put(c *upstreamConn, now time.Time) {
	c.since = now
	p.mu.Lock()
	keep := !p.closed && len(p.idle) < idleConnsMax
	if keep {
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if !keep {
		p.discard(c)
	}
}

// discard closes a connection that take or dial has returned.
func (p *pool) discard(c *upstreamConn) {
	c.conn.Close()
	p.mu.Lock()
	delete(p.open, c)
	p.mu.Unlock()
}

// prune closes the connections that have been idle for too long.
func (p *pool) prune(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.idle) && now.Sub(p.idle[n].since) >= idleConnTimeout {
		p.idle[n].conn.Close()
		delete(p.open, p.idle[n])
		n++
	}
	p.idle = slices.Delete(p.idle, 0, n)
}

// close closes all connections, also those in use, and the pool keeps none from then on.
func (p *pool) close() {
	p.cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for c := range p.open {
		c.conn.Close()
	}
	p.idle = nil
}
