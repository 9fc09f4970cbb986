//go:build linux

package main

import (
	"fmt"
	"net"
	"sync"
	"time"
)

// proxyLink is for places without a network of their own: each node reaches the other one through a forwarder. A cut holds
// the bytes back, as retransmission would; it cannot lose packets.
type proxyLink struct {
	ways    [2]*way
	listens [2]string // where the nodes listen for each other
	proxies [2]string // where a node finds the other one
}

func newProxyLink(host string) (*proxyLink, error) {
	l := &proxyLink{ways: [2]*way{newWay(), newWay()}}
	for i := range l.listens {
		addr, err := freeAddr(host)
		if err != nil {
			return nil, err
		}
		l.listens[i] = addr
	}
	for from := range l.proxies {
		ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			return nil, fmt.Errorf("listen for the link: %w", err)
		}
		l.proxies[from] = ln.Addr().String()
		go func() {
			for {
				in, err := ln.Accept()
				if err != nil {
					return
				}
				go l.serve(from, in)
			}
		}()
	}
	return l, nil
}

func (l *proxyLink) addrs(node int) (listen, peer string) { return l.listens[node], l.proxies[node] }

func (l *proxyLink) set(from int, c conditions) { l.ways[from].set(c) }

func (l *proxyLink) name() string { return "loopback with a forwarding proxy" }

// serve forwards a connection that node from made.
func (l *proxyLink) serve(from int, in net.Conn) {
	defer in.Close()
	for _, w := range l.ways { // a connection needs both directions
		w.pass()
	}
	out, err := net.DialTimeout("tcp", l.listens[1-from], time.Second)
	if err != nil {
		return
	}
	defer out.Close()
	var both sync.WaitGroup
	both.Go(func() { l.ways[from].forward(out, in) })
	both.Go(func() { l.ways[1-from].forward(in, out) })
	both.Wait()
}

// forward copies until one side ends, then ends the other.
func (w *way) forward(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		c := w.pass()
		if wait := c.delay + c.transit(n); wait > 0 {
			<-time.After(wait)
		}
		if _, failed := to.Write(buf[:n]); err != nil || failed != nil {
			return
		}
	}
}

// pass waits until the way is not cut.
func (w *way) pass() conditions {
	for {
		c, changed := w.get()
		if !c.cut {
			return c
		}
		<-changed
	}
}

// freeAddr returns an address with a port that nobody listens at.
func freeAddr(host string) (string, error) {
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}
