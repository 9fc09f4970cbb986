package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// Stream tells changes in order, to one client. There are two: of the log of a node, and of a cluster.
type Stream interface {
	// Next returns the following change, nil when there is none yet. What was there when the stream was opened it waits for. The error is
	// ErrGone when it cannot be told any more.
	Next() (Entry, error)
	// Position is behind the last change that Next returned.
	Position() string
	// OnMore has f called whenever Next may have more, until stop is.
	OnMore(f func()) (stop func())
	Close()
}

// Entry is a change, valid until the following one.
type Entry interface {
	// Names returns the key. A flush has none: it concerns all.
	Names() (key []byte, flush bool)
	// Bytes is how large it is, for the size of an answer.
	Bytes() int64
	// Encode writes it as a JSON object on one line. After an error a part of it may be written.
	Encode(w io.Writer, values bool) error
}

// Feed serves changes over HTTP.
type Feed struct {
	open    func(ctx context.Context, from string) (Stream, error)
	who     string // whose changes, for people
	slowest time.Duration

	mu        sync.Mutex
	ended     chan struct{} // closed when those who follow now must end
	closed    bool
	followers int
	running   sync.WaitGroup
}

// New returns the feed of a node.
func New(st *store.Store, node int) *Feed {
	return NewOf(fmt.Sprintf("node %d", node), func(_ context.Context, from string) (Stream, error) {
		if from == "" {
			c, err := Begin(st, node)
			return nodeStream{c}, err
		}
		p, err := ParsePosition(from)
		if err != nil {
			return nil, err
		}
		c, err := Resume(st, node, p)
		return nodeStream{c}, err
	})
}

// NewOf returns a feed of streams: open begins one behind a position, "" for the end. It returns ErrPosition or ErrGone, and any other
// error says that it could not do so now. The stream must not outlive ctx.
func NewOf(who string, open func(ctx context.Context, from string) (Stream, error)) *Feed {
	return &Feed{who: who, open: open, slowest: slowest, ended: make(chan struct{})}
}

// nodeStream is the log of a node.
type nodeStream struct{ *Cursor }

func (s nodeStream) Next() (Entry, error) {
	c, err := s.Cursor.Next()
	if c == nil {
		return nil, err
	}
	return c, err
}

func (s nodeStream) Position() string { return s.Cursor.Position().String() }

func (s nodeStream) OnMore(f func()) (stop func()) { return s.st.OnPass(f) }

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
