//go:build linux

package main

import (
	"io"
	"net"
	"time"
)

// tunLink is a network of two machines: each node has an interface, and this program carries the packets between the two.
// It needs no features of the kernel beyond the interfaces themselves.
type tunLink struct{ ways [2]*way }

var tunAddrs = [2]string{"10.99.0.1", "10.99.0.2"}

const (
	tunPort = "11212"
	// tunQueue is how many packets wait for a slow link; further ones are lost, as in a router.
	tunQueue = 256
	// tunPacket is larger than the interface's packets can be.
	tunPacket = 4096
)

func newTunLink(places [2]*place) (*tunLink, error) {
	var ends [2]io.ReadWriter
	for i, p := range places {
		f, err := p.openTun("peer", net.ParseIP(tunAddrs[i]))
		if err != nil {
			return nil, err
		}
		ends[i] = f
	}
	l := &tunLink{}
	for i := range ends {
		l.ways[i] = newWay()
		go l.ways[i].carry(ends[1-i], ends[i])
	}
	return l, nil
}

func (l *tunLink) addrs(node int) (listen, peer string) {
	return net.JoinHostPort(tunAddrs[node], tunPort), net.JoinHostPort(tunAddrs[1-node], tunPort)
}

func (l *tunLink) set(from int, c conditions) { l.ways[from].set(c) }

func (l *tunLink) name() string { return "network namespaces joined by packets" }

// carry moves packets one way for as long as the process lives.
func (w *way) carry(to io.Writer, from io.Reader) {
	type packet struct {
		due  time.Time
		data []byte
	}
	queue := make(chan packet, tunQueue)
	go func() {
		for p := range queue {
			if wait := time.Until(p.due); wait > 0 {
				<-time.After(wait)
			}
			if c, _ := w.get(); !c.cut {
				to.Write(p.data) // an interface that takes no packet loses it, as networks may
			}
		}
	}()
	defer close(queue)
	var free time.Time // when the line has sent what it has
	buf := make([]byte, tunPacket)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		c, _ := w.get()
		if c.loses() {
			continue
		}
		now := time.Now()
		if free.Before(now) {
			free = now
		}
		free = free.Add(c.transit(n))
		select {
		case queue <- packet{free.Add(c.delay), append([]byte(nil), buf[:n]...)}:
		default:
		}
	}
}
