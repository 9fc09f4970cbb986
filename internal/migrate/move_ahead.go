package migrate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/futago/futago/internal/feed"
)

const (
	// aheadBytes is how much the names of changed keys may take until the feed is not read any further, in bytes.
	aheadBytes = 64 << 20
	// maxToldLine and maxTold bound one change of a feed without its value, and an answer with many, in bytes.
	maxToldLine = 1 << 20
	maxTold     = 64 << 20
	// feedSilence is how long a feed may say nothing; it says every 3 s that it lives.
	feedSilence = 10 * time.Second
	// feedPause lies between two rounds over nodes of which none could be followed.
	feedPause = 300 * time.Millisecond
)

// ahead follows the change feed of a side, and keeps which keys have changed until somebody takes them.
type ahead struct {
	ends   []End
	notice func(text string)

	mu       sync.Mutex
	position string              // behind all that was noted
	keys     map[string]struct{} // that have changed
	size     int                 // of them, in bytes
	since    time.Time           // when the oldest of them was noted
	flushes  []time.Time         // that were told, and from when on each holds
	told     int64               // changes since the beginning
	at       int                 // which node is followed
	moves    int                 // how often that was another one than before
	gone     error               // no node knows what follows the position
	failed   error               // why no node can be followed at present
	drains   []chan struct{}     // who waits until nothing follows
	restart  context.CancelFunc  // ends the stream that is read
	taken    chan struct{}       // of size 1: there is room again
	news     chan struct{}       // of size 1: there is something to look at
}

func newAhead(ends []End, position string, at int, notice func(string)) *ahead {
	return &ahead{ends: ends, notice: notice, position: position, at: at, keys: map[string]struct{}{}, taken: make(chan struct{}, 1), news: make(chan struct{}, 1)}
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// run follows one node after the other until ctx ends, or no node knows the position.
func (a *ahead) run(ctx context.Context) {
	gone, silent := 0, 0
	for ctx.Err() == nil {
		a.mu.Lock()
		at := a.at
		a.mu.Unlock()
		heard, err := a.follow(ctx, at)
		switch {
		case ctx.Err() != nil:
			return
		case heard:
			gone, silent = 0, 0
		}
		if err == nil {
			continue // it was told to begin again
		}
		silent++
		if errors.Is(err, feed.ErrGone) {
			gone++
		}
		a.mu.Lock()
		a.failed = err
		if gone > 0 && silent >= len(a.ends) {
			a.gone = err // who does not answer now may know it, but to copy anew is right in any case
		}
		if len(a.ends) > 1 {
			a.at = (at + 1) % len(a.ends)
			a.moves++
		}
		ended := a.gone != nil
		a.mu.Unlock()
		ring(a.news)
		if ended {
			return
		}
		a.notice(fmt.Sprintf("follow the changes of %s: %v", a.ends[at].Name, err))
		if silent >= len(a.ends) {
			gone, silent = 0, 0
			wait(ctx, feedPause)
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// follow reads what a node tells, whether as a stream or, when somebody waits for the end, in documents. heard says that it told something.
func (a *ahead) follow(ctx context.Context, at int) (heard bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a.mu.Lock()
	a.restart = cancel
	waiting := len(a.drains)
	position := a.position
	a.mu.Unlock()
	silence := time.AfterFunc(feedSilence, cancel)
	defer silence.Stop()
	if waiting > 0 {
		heard, err = a.poll(ctx, at, position, waiting)
	} else {
		heard, err = a.stream(ctx, at, position, func() { silence.Reset(feedSilence) })
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil && ctx.Err() != nil && len(a.drains) > waiting {
		return heard, nil
	}
	return heard, err
}

func (a *ahead) stream(ctx context.Context, at int, position string, alive func()) (heard bool, err error) {
	body, err := a.ends[at].Changes(ctx, url.Values{"from": {position}, "values": {"false"}}, true)
	if err != nil {
		return false, err
	}
	defer body.Close()
	in := bufio.NewReaderSize(body, 64<<10)
	for {
		e, err := feed.ReadEvent(in, maxToldLine, alive)
		if err != nil {
			return heard, err
		}
		if e.ID == "" {
			continue
		}
		var list []feed.Told
		if e.Name == "change" {
			told, err := feed.ParseChange(e.Data)
			if err != nil {
				return heard, err
			}
			list = []feed.Told{told}
		}
		heard = true
		if err := a.note(ctx, list, e.ID, alive); err != nil {
			return heard, err
		}
	}
}

// poll asks once for what there is. When nothing followed that, those who waited before it asked are told.
func (a *ahead) poll(ctx context.Context, at int, position string, waiting int) (heard bool, err error) {
	body, err := a.ends[at].Changes(ctx, url.Values{"from": {position}, "values": {"false"}, "wait": {"0s"}, "limit": {"10000"}}, false)
	if err != nil {
		return false, err
	}
	defer body.Close()
	answer, err := feed.ReadAnswer(body, maxTold)
	if err != nil {
		return false, err
	}
	if err := a.note(ctx, answer.Changes, answer.Position, func() {}); err != nil || !answer.End {
		return true, err
	}
	a.mu.Lock()
	for _, drained := range a.drains[:waiting] {
		close(drained)
	}
	a.drains = a.drains[waiting:]
	a.mu.Unlock()
	return true, nil
}

// note keeps what was told. It waits while too much is kept.
func (a *ahead) note(ctx context.Context, list []feed.Told, position string, alive func()) error {
	for {
		a.mu.Lock()
		if a.size < aheadBytes {
			break
		}
		a.mu.Unlock()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-a.taken:
		case <-time.After(time.Second):
			alive() // it is this side that is slow
		}
	}
	defer a.mu.Unlock()
	for i := range list {
		if list[i].Op == "flush" {
			a.flushes = append(a.flushes, time.UnixMilli(list[i].At))
			continue
		}
		if _, known := a.keys[string(list[i].Key)]; !known {
			a.keys[string(list[i].Key)] = struct{}{}
			a.size += len(list[i].Key) + 64
		}
	}
	if len(list) > 0 {
		if a.since.IsZero() {
			a.since = time.Now()
		}
		a.told += int64(len(list))
		ring(a.news)
	}
	a.position, a.failed = position, nil
	return nil
}

// changed is what was noted up to a position.
type changed struct {
	keys     [][]byte
	flushes  []time.Time
	position string
	moves    int // how often another node was followed
}

// take returns what was noted, and forgets it.
func (a *ahead) take() (c changed, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key := range a.keys {
		c.keys = append(c.keys, []byte(key))
	}
	c.flushes, c.position, c.moves = a.flushes, a.position, a.moves
	a.keys, a.size, a.since, a.flushes = map[string]struct{}{}, 0, time.Time{}, nil
	ring(a.taken)
	return c, a.gone
}

// drained returns a channel that is closed once the node has said that nothing followed what was noted, which it was asked after this call.
func (a *ahead) drained() <-chan struct{} {
	done := make(chan struct{})
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drains = append(a.drains, done)
	if a.restart != nil {
		a.restart()
	}
	return done
}

// lag is how many keys wait, and for how long the oldest does.
func (a *ahead) lag() (keys int, told int64, behind time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.since.IsZero() {
		behind = time.Since(a.since)
	}
	return len(a.keys), a.told, behind
}

// followed is which node is followed.
func (a *ahead) followed() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.at
}
