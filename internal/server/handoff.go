package server

import (
	"net"
	"sync"
	"time"
)

// handoffListener gives net/http the connections whose first bytes were read elsewhere.
type handoffListener struct {
	mu     sync.Mutex
	queue  []net.Conn
	ready  chan struct{} // holds one token while queue may not be empty
	closed chan struct{}
	over   bool
}

func newHandoffListener() *handoffListener {
	return &handoffListener{ready: make(chan struct{}, 1), closed: make(chan struct{})}
}

// push never blocks: a loop calls it.
func (h *handoffListener) push(c net.Conn) {
	h.mu.Lock()
	over := h.over
	if !over {
		h.queue = append(h.queue, c)
	}
	h.mu.Unlock()
	if over {
		c.Close()
		return
	}
	select {
	case h.ready <- struct{}{}:
	default:
	}
}

// Accept is net/http's side.
func (h *handoffListener) Accept() (net.Conn, error) {
	for {
		h.mu.Lock()
		if h.over {
			h.mu.Unlock()
			return nil, net.ErrClosed
		}
		if len(h.queue) > 0 {
			c := h.queue[0]
			h.queue[0] = nil
			h.queue = h.queue[1:]
			h.mu.Unlock()
			return c, nil
		}
		h.mu.Unlock()
		select {
		case <-h.ready:
		case <-h.closed:
		}
	}
}

// Close closes the connections that nobody took.
func (h *handoffListener) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return nil
	}
	h.over = true
	close(h.closed)
	for _, c := range h.queue {
		c.Close()
	}
	h.queue = nil
	return nil
}

// Addr satisfies net.Listener; the connections know their own.
func (h *handoffListener) Addr() net.Addr { return &net.TCPAddr{} }

// handedConn is a connection whose first bytes come again. It counts bytes and lets no write take for ever.
type handedConn struct {
	net.Conn
	srv   *Server
	peer  *peer
	first []byte // not read yet
	once  sync.Once
}

// handoff gives c, of which first was read already, to net/http.
func (s *Server) handoff(c net.Conn, first []byte, p *peer) {
	s.handoffs.push(&handedConn{Conn: c, srv: s, peer: p, first: first})
}

func (c *handedConn) Read(b []byte) (int, error) {
	if len(c.first) > 0 && len(b) > 0 {
		n := copy(b, c.first)
		if c.first = c.first[n:]; len(c.first) == 0 {
			c.first = nil
		}
		return n, nil
	}
	n, err := c.Conn.Read(b)
	c.srv.totals[0].n[bytesRead].Add(uint64(n))
	c.peer.last.Store(c.srv.store.Now())
	return n, err
}

// Write gives each piece RequestTimeout: a client that does not read must not hold a value for ever.
func (c *handedConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.srv.cfg.RequestTimeout)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(b)
	c.srv.totals[0].n[bytesWritten].Add(uint64(n))
	return n, err
}

func (c *handedConn) Close() error {
	c.once.Do(func() { c.srv.closed(c.peer) })
	return c.Conn.Close()
}
