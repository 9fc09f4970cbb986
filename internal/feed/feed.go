package feed

import (
	"errors"
	"sync"
	"time"

	"github.com/futago/futago/internal/store"
)

const (
	// MaxFollowers is how many clients may follow a node at once. Each holds a segment of the log while it reads.
	MaxFollowers = 64
	// heartbeat is how often a client of a stream is told that the node lives, and where it is.
	heartbeat = 3 * time.Second
	// slowest is how long a client may take for a piece of the answer, hurried for what is left of it once it must end.
	slowest = 10 * time.Second
	hurried = time.Second
	// stretch is how many changes that a client does not want are passed before it is looked at again.
	stretch = 1024
)

// Why a client is not served. Another node may do it.
var (
	errFull  = errors.New("too many clients follow the changes of this node: close some, or follow another node")
	errEnded = errors.New("this node does not tell changes any more: follow another node")
)

// Feed serves the changes of one node over HTTP.
type Feed struct {
	st      *store.Store
	node    int
	slowest time.Duration

	mu        sync.Mutex
	ended     chan struct{} // closed when those who follow now must end
	closed    bool
	followers int
	running   sync.WaitGroup
}

// New returns the feed of a node.
func New(st *store.Store, node int) *Feed {
	return &Feed{st: st, node: node, slowest: slowest, ended: make(chan struct{})}
}

// enter counts a client in. It must call leave, and soon after ended is closed.
func (f *Feed) enter() (ended <-chan struct{}, leave func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return nil, nil, errEnded
	case f.followers == MaxFollowers:
		return nil, nil, errFull
	}
	f.followers++
	f.running.Add(1)
	return f.ended, func() {
		f.mu.Lock()
		f.followers--
		f.mu.Unlock()
		f.running.Done()
	}, nil
}

// Followers is how many clients follow now.
func (f *Feed) Followers() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.followers
}

// Interrupt ends the answers to all clients, who may come back.
func (f *Feed) Interrupt() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		close(f.ended)
		f.ended = make(chan struct{})
	}
}

// Close ends the answers to all clients and returns when none reads the store any more.
func (f *Feed) Close() {
	f.mu.Lock()
	if !f.closed {
		f.closed = true
		close(f.ended)
	}
	f.mu.Unlock()
	f.running.Wait()
}
