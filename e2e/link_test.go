//go:build e2e

package e2e

import (
	"net"
	"sync"
	"testing"
	"time"
)

// link is the network between two nodes: a forwarder for one direction, that can be cut and slowed down.
type link struct {
	ln     net.Listener
	target string

	mu    sync.Mutex
	down  bool
	delay time.Duration // of every piece, each way
	tap   func([]byte)  // sees every piece; nil: nobody does
	conns map[net.Conn]bool
}

func newLink(t *testing.T, target string) *link {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(newHost(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	l := &link{ln: ln, target: target, conns: map[net.Conn]bool{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() { l.serve(in) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		l.cut()
		running.Wait()
	})
	return l
}

// linkPair puts a link into each direction between nodes that do not run yet.
func linkPair(t *testing.T, p [2]*node) [2]*link {
	t.Helper()
	var links [2]*link
	for i, n := range p {
		links[i] = newLink(t, n.follow)
		n.follow = links[i].ln.Addr().String()
	}
	return links
}

// cut ends all connections and every new one.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	for c := range l.conns {
		c.Close()
	}
}

func (l *link) heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}

func (l *link) setDelay(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = d
}

// add notes connections that cut must close, and reports false when the link is down.
func (l *link) add(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return false
	}
	for _, c := range conns {
		l.conns[c] = true
	}
	return true
}

func (l *link) serve(in net.Conn) {
	defer in.Close()
	if !l.add(in) {
		return
	}
	out, err := net.Dial("tcp", l.target)
	if err != nil {
		return
	}
	defer out.Close()
	if !l.add(out) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.copy(out, in) })
	both.Go(func() { l.copy(in, out) })
	both.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, in)
	delete(l.conns, out)
}

// copy forwards one way until one side ends, then ends the other.
func (l *link) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			l.mu.Lock()
			delay := l.delay
			if l.tap != nil {
				l.tap(buf[:n])
			}
			l.mu.Unlock()
			if delay > 0 {
				<-time.After(delay)
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
