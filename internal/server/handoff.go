package server

import (
	"context"
	"net"
	"sync"
	"time"
)

// handedConn is a connection whose first bytes come again. It counts bytes and lets no write take for ever.
type handedConn struct {
	net.Conn
	srv   *Server
	peer  *peer
	first []byte // not read yet
	once  sync.Once

	mu      sync.Mutex
	inBody  bool  // net/http has read the head of a request and not yet answered it
	counted int64 // bytes of a head in Server.pending
}

// handedConnKey finds the *handedConn in the context of a request.
type handedConnKey struct{}

// headBegins is called when a request was answered.
func (c *handedConn) headBegins() {
	c.mu.Lock()
	c.inBody = false
	c.mu.Unlock()
}

// headEnds is called when the head of a request was read: it has become small, or is bounded by the handler.
func (c *handedConn) headEnds() {
	c.mu.Lock()
	c.inBody = true
	c.srv.pending.Add(-c.counted)
	c.counted = 0
	c.mu.Unlock()
}

// countHead counts n more bytes of a head; an error when the connections together hold all they may.
func (c *handedConn) countHead(n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inBody {
		return nil
	}
	c.counted += int64(n)
	if c.srv.pending.Add(int64(n)) > c.srv.cfg.MaxPendingTotal && c.counted > smallBuffer {
		return errCrowded
	}
	return nil
}

// handoff gives c, of which first was read already, to net/http.
func (s *Server) handoff(c net.Conn, first []byte, p *peer) {
	s.handoffs.Push(&handedConn{Conn: c, srv: s, peer: p, first: first})
}

func (c *handedConn) Read(b []byte) (n int, err error) {
	if len(c.first) > 0 && len(b) > 0 {
		n = copy(b, c.first)
		if c.first = c.first[n:]; len(c.first) == 0 {
			c.first = nil
		}
	} else {
		n, err = c.Conn.Read(b)
		c.srv.totals[0].n[bytesRead].Add(uint64(n))
		c.peer.last.Store(c.srv.store.Now())
	}
	if crowded := c.countHead(n); crowded != nil && err == nil {
		// net/http ends the connection without an answer for an error of this kind.
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: crowded}
	}
	return n, err
}

func (c *handedConn) Write(b []byte) (int, error) {
	n, err := writePieces(c.srv.ctx, c.Conn, b, c.srv.limits.Load().RequestTimeout)
	c.srv.totals[0].n[bytesWritten].Add(uint64(n))
	return n, err
}

func (c *handedConn) Close() error {
	c.once.Do(func() {
		c.headEnds()
		c.srv.closed(c.peer)
	})
	return c.Conn.Close()
}

// writePieces writes b in pieces of minProgress bytes, each within limit: a client may be slow, but one that does not
// read must not hold b for ever. It stops when ctx ends.
func writePieces(ctx context.Context, c net.Conn, b []byte, limit time.Duration) (n int, err error) {
	for len(b) > 0 {
		if err := c.SetWriteDeadline(time.Now().Add(limit)); err != nil {
			return n, err
		}
		// Behind the deadline: who ends ctx sets one of its own afterwards, and that must stand.
		if ctx.Err() != nil {
			return n, net.ErrClosed
		}
		m, err := c.Write(b[:min(len(b), minProgress)])
		n, b = n+m, b[m:]
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
