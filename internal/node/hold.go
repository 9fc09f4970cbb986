package node

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// hold is an operator's word that this node is to have no clients, such as before work on its machine. It follows its peers and
// is followed as before; a restart ends it.
type hold struct {
	since  atomic.Pointer[time.Time] // nil: there is none
	mu     sync.Mutex                // held while one begins or ends
	cancel context.CancelFunc
	done   chan struct{} // closed when the clients are gone, or the hold ended before
}

const (
	// holdNotice is how long clients are still served when readiness has gone, so that gateways and balancers notice first.
	holdNotice = 2 * time.Second
	// holdPatience is how long they may finish requests after that.
	holdPatience = 3 * time.Second
)

// holdBack takes readiness at once, and clients in the background; false when that was done before.
func (n *Node) holdBack() bool {
	h := &n.hold
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.since.Load() != nil {
		return false
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	h.cancel, h.done = cancel, done
	h.since.Store(new(time.Now()))
	go func() {
		defer close(done)
		select {
		case <-ctx.Done():
			return
		case <-n.stopping:
			return
		case <-time.After(holdNotice):
		}
		patience, end := context.WithTimeout(ctx, holdPatience)
		defer end()
		n.server.SendAway(patience)
	}()
	return true
}

// endHold serves clients again; false when there was no hold.
func (n *Node) endHold() bool {
	h := &n.hold
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.since.Load() == nil {
		return false
	}
	h.cancel()
	<-h.done
	h.since.Store(nil)
	n.catching.mu.Lock()
	defer n.catching.mu.Unlock()
	if !n.catching.running { // otherwise it does that itself
		n.server.Resume()
	}
	return true
}

// resume serves clients again after catching up, unless an operator holds the node back. The lock of catching is held.
func (n *Node) resume() {
	if n.hold.since.Load() == nil {
		n.server.Resume()
	}
}
