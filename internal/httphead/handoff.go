package httphead

import (
	"net"
	"sync"
)

// Handoff is a listener that gives net/http the connections whose first bytes were read elsewhere.
type Handoff struct {
	mu     sync.Mutex
	queue  []net.Conn
	ready  chan struct{} // holds one token while queue may not be empty
	closed chan struct{}
	over   bool
}

// NewHandoff returns a listener without connections.
func NewHandoff() *Handoff {
	return &Handoff{ready: make(chan struct{}, 1), closed: make(chan struct{})}
}

// Push gives a connection, whose Read must return the bytes that were read already. It never blocks.
func (h *Handoff) Push(c net.Conn) {
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
func (h *Handoff) Accept() (net.Conn, error) {
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
func (h *Handoff) Close() error {
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
func (h *Handoff) Addr() net.Addr { return &net.TCPAddr{} }
