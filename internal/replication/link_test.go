package replication

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// wire is the network between nodes of a test: connections in memory that can be cut, watched and forged.
type wire struct {
	mu        sync.Mutex
	cut       bool
	apart     map[string]bool // "follower>source" that do not reach each other
	listeners map[string]*wireListener
	links     map[*wireLink]bool
	carriers  sync.WaitGroup

	// forge may change, drop (nil) or multiply the frames on their way; nil lets all pass. follower and source name the ends,
	// fromSource is the direction.
	forge func(follower, source string, fromSource bool, t frameType, payload []byte) []byte

	delay time.Duration // each frame takes up to so long
	sent  atomic.Int64  // frames
}

func newWire() *wire {
	return &wire{listeners: map[string]*wireListener{}, links: map[*wireLink]bool{}, apart: map[string]bool{}}
}

// wireLink is one connection: two pipes and what moves bytes between them.
type wireLink struct {
	follower, source string
	near, far        net.Conn // the ends inside the wire
}

func (l *wireLink) close() {
	l.near.Close()
	l.far.Close()
}

// wireListener accepts the connections to one node.
type wireListener struct {
	w      *wire
	name   string
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (w *wire) listen(name string) *wireListener {
	ln := &wireListener{w: w, name: name, conns: make(chan net.Conn), closed: make(chan struct{})}
	w.mu.Lock()
	w.listeners[name] = ln
	w.mu.Unlock()
	return ln
}

func (ln *wireListener) Accept() (net.Conn, error) {
	select {
	case c := <-ln.conns:
		return c, nil
	case <-ln.closed:
		return nil, net.ErrClosed
	}
}

func (ln *wireListener) Close() error {
	ln.once.Do(func() { close(ln.closed) })
	return nil
}

func (ln *wireListener) Addr() net.Addr { return &net.UnixAddr{Name: ln.name, Net: "wire"} }

var errRefused = errors.New("connection refused")

// dial returns what a puller dials with.
func (w *wire) dial(follower, source string) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, _ string) (net.Conn, error) {
		w.mu.Lock()
		ln, cut := w.listeners[source], w.cutLocked(follower, source)
		w.mu.Unlock()
		if ln == nil || cut {
			return nil, errRefused
		}
		mine, near := net.Pipe()
		theirs, far := net.Pipe()
		select {
		case ln.conns <- theirs:
		case <-ln.closed:
			return nil, errRefused
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		l := &wireLink{follower: follower, source: source, near: near, far: far}
		w.mu.Lock()
		w.links[l] = true
		gone := w.cutLocked(follower, source)
		w.mu.Unlock()
		if gone {
			l.close()
		}
		w.carriers.Go(func() { w.carry(l, near, far, false) })
		w.carriers.Go(func() { w.carry(l, far, near, true) })
		return mine, nil
	}
}

// carry moves frames from one end to the other until an end is closed; what is under way then still arrives.
func (w *wire) carry(l *wireLink, from, to net.Conn, fromSource bool) {
	queue := make(chan []byte, 64)
	go func() {
		defer close(queue)
		if !passPreamble(queue, from, fromSource) {
			return
		}
		frames := newFrameReader(from)
		for {
			t, payload, err := frames.next(maxFrame)
			if err != nil {
				return
			}
			b := appendFrame(nil, t, payload)
			if w.forge != nil {
				b = w.forge(l.follower, l.source, fromSource, t, payload)
			}
			if b != nil {
				queue <- b
			}
		}
	}()
	for b := range queue {
		// Uneven, the same in each run: links in both directions overtake each other.
		time.Sleep(w.delay * time.Duration(w.sent.Add(1)*7%16) / 16)
		if _, err := to.Write(b); err != nil {
			break
		}
	}
	to.Close()
	from.Close()
	for range queue {
	}
	w.mu.Lock()
	delete(w.links, l)
	w.mu.Unlock()
}

// sever ends the links that touch a node; "" means all.
func (w *wire) sever(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for l := range w.links {
		if name == "" || l.follower == name || l.source == name {
			l.close()
		}
	}
}

// setCut cuts or heals all links.
func (w *wire) setCut(cut bool) {
	w.mu.Lock()
	w.cut = cut
	w.mu.Unlock()
	if cut {
		w.sever("")
	}
}

func (w *wire) cutLocked(follower, source string) bool { return w.cut || w.apart[follower+">"+source] }

// setApart cuts or heals the links between two nodes.
func (w *wire) setApart(x, y string, apart bool) {
	w.setOneWay(x, y, apart)
	w.setOneWay(y, x, apart)
}

// setOneWay cuts or heals one of them.
func (w *wire) setOneWay(follower, source string, apart bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.apart[follower+">"+source] = apart
	for l := range w.links {
		if w.cutLocked(l.follower, l.source) {
			l.close()
		}
	}
}
