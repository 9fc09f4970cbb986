//go:build linux

package main

import (
	"math/rand/v2"
	"sync"
	"time"
)

// link is the network between the two nodes. There are two kinds: tunLink loses and delays packets, proxyLink holds up
// connections.
type link interface {
	// addrs are where each node listens for its peer, and where it finds it.
	addrs(node int) (listen, peer string)
	// set changes what happens to what node from sends.
	set(from int, c conditions)
	// name says what it is, for the report.
	name() string
}

// conditions of one direction. The zero value is a good network.
type conditions struct {
	cut       bool
	delay     time.Duration
	bandwidth int     // bytes in a second, 0: no bound
	loss      float64 // share of packets; proxies cannot
}

// way is one direction of a link.
type way struct {
	mu      sync.Mutex
	c       conditions
	changed chan struct{} // closed at the next change
}

func newWay() *way { return &way{changed: make(chan struct{})} }

func (w *way) set(c conditions) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.c = c
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *way) get() (conditions, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.c, w.changed
}

// transit is how long bytes take over a way with conditions c.
func (c conditions) transit(bytes int) time.Duration {
	if c.bandwidth == 0 {
		return 0
	}
	return time.Duration(bytes) * time.Second / time.Duration(c.bandwidth)
}

func (c conditions) loses() bool { return c.cut || c.loss > 0 && rand.Float64() < c.loss }
