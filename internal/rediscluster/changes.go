package rediscluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/store"
)

// A cluster tells its replicas everything that its masters execute, in order, and from any place on that they still hold. Changes are
// read so, from all masters at once.
//
// Nothing is left out without a word. A place is the id of a master's history and an offset in it: a master goes on exactly there, or says
// that it cannot. Who has which slots is part of the position as well, with the numbers that rise when a slot is taken. When that is
// another one than it was, a master has been replaced, with which its last writes may have been lost, or slots have come to a master that
// was not listened to: then nothing is claimed, and the reader begins anew (ErrGone).
//
// A slot that moves between two masters which both are listened to would be no loss: its keys are told of as deleted by one and as stored
// by the other. It ends in ErrGone all the same.

// ErrGone says that what follows a position is not known any more: the masters have let go of it, or other ones have the slots.
var ErrGone = errors.New("the cluster does not know what follows this position")

// ErrPosition says that a text is no position.
var ErrPosition = errPosition

// Change is a key that has changed, or a flush.
type Change struct {
	Key     []byte
	Deleted bool  // by the command that is told of
	Flush   bool  // it concerns all keys
	At      int64 // of a flush: from when on, Unix milliseconds
}

// Changes tells what changes in a cluster.
type Changes struct {
	s      *Store
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	told    chan told
	pos     position
	ends    []uint64 // of each master, what was there when it was opened
	flushed int64    // version of the flush that was told of last
	rest    []Change

	mu     sync.Mutex
	failed error
	more   func()
}

// told is a command of a master.
type told struct {
	master int
	executed
}

const (
	// aheadCommands is how many commands of all masters are held at most.
	aheadCommands = 1024
	// watchInterval is how often it is looked at who has which slots.
	watchInterval = time.Second
)

// Changes begins behind a position, "" for what is there now. It returns ErrPosition, ErrGone, or why the cluster cannot be followed now. What
// it returns ends with ctx, and must be closed.
func (s *Store) Changes(ctx context.Context, from string) (_ *Changes, err error) {
	var p position
	if from != "" {
		if p, err = parsePosition(from); err != nil {
			return nil, err
		}
	}
	c := &Changes{s: s, pos: p, told: make(chan told, aheadCommands)}
	c.ctx, c.cancel = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	all, err := s.whole(ctx)
	if err != nil {
		return nil, err
	}
	var now position
	var first []uint64
	for _, m := range all.list {
		o, oldest, err := s.replicationEnd(ctx, m)
		if err != nil {
			return nil, fmt.Errorf("ask %s where its replication is: %w", m.addr, err)
		}
		now.masters = append(now.masters, o)
		first = append(first, oldest)
		c.ends = append(c.ends, o.at)
	}
	// Who has which slots is looked at behind that: then these are the masters that had all writes which were acknowledged before.
	again, err := s.whole(ctx)
	switch {
	case err != nil:
		return nil, err
	case again.sum != all.sum:
		return nil, errors.New("masters change at this moment")
	}
	if now.sum = all.sum; from == "" {
		if all.moving {
			return nil, store.ErrMoved
		}
		c.pos = now
	}
	if c.pos.sum != now.sum || len(c.pos.masters) != len(now.masters) {
		return nil, fmt.Errorf("%w: other masters have the slots", ErrGone)
	}
	for i, m := range all.list {
		o := &c.pos.masters[i]
		if o.id != now.masters[i].id || o.replication != now.masters[i].replication || o.at > now.masters[i].at {
			return nil, fmt.Errorf("%w: %s has another history", ErrGone, m.addr)
		}
		if o.at+1 < first[i] {
			return nil, fmt.Errorf("%w: %s holds too little of it (repl-backlog-size)", ErrGone, m.addr)
		}
		nc, in, err := s.attach(c.ctx, m.addr, o)
		if errors.Is(err, errFull) {
			return nil, fmt.Errorf("%w: %s: %w", ErrGone, m.addr, err)
		}
		if err != nil {
			return nil, fmt.Errorf("follow %s: %w", m.addr, err)
		}
		c.work.Go(func() { c.read(i, m.addr, *o, nc, in) })
	}
	c.work.Go(func() { c.watch() })
	return c, nil
}

// replicationEnd is where the history of a master is, and the first byte of it that is still held. One that never had a replica keeps none for it, and begins to when one asks.
func (s *Store) replicationEnd(ctx context.Context, m master) (o offset, first uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	if o.id, err = parseID(m.id); err != nil {
		return o, 0, err
	}
	for asked := false; ; {
		text, err := m.client.Do(ctx, m.client.B().Info().Section("replication").Build()).ToString()
		if err != nil {
			return o, 0, err
		}
		if infoNumber(text, "repl_backlog_active") == 1 {
			o.at = uint64(infoNumber(text, "master_repl_offset"))
			o.replication, err = parseID(infoText(text, "master_replid"))
			return o, uint64(infoNumber(text, "repl_backlog_first_byte_offset")), err
		}
		if !asked {
			nc, _, err := s.dialReplication(ctx, m.addr)
			if err == nil {
				defer nc.Close()
				_, err = nc.Write(appendCommand(nil, "PSYNC", "?", "-1"))
			}
			if err != nil {
				return o, 0, err
			}
			asked = true
		}
		select {
		case <-ctx.Done():
			return o, 0, context.Cause(ctx)
		case <-time.After(time.Millisecond):
		}
	}
}

// infoText is a word of INFO; empty when it is not there.
func infoText(text, name string) string {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// read hands on what a master tells, over further connections when one is lost.
func (c *Changes) read(master int, addr string, o offset, nc net.Conn, in *bufio.Reader) {
	lost := time.Time{}
	for {
		if nc != nil {
			c.hear(master, nc, in, &o)
			nc.Close()
			nc = nil
		}
		if c.ctx.Err() != nil {
			return
		}
		if lost.IsZero() {
			lost = time.Now()
		}
		var err error
		nc, in, err = c.s.attach(c.ctx, addr, &o)
		switch {
		case err == nil:
			lost = time.Time{}
		case errors.Is(err, errFull):
			c.fail(fmt.Errorf("%w: %s: %w", ErrGone, addr, err))
			return
		case time.Since(lost) > c.s.cfg.Timeout:
			c.fail(fmt.Errorf("follow %s: %w", addr, err))
			return
		default:
			select {
			case <-c.ctx.Done():
				return
			case <-time.After(pauses[len(pauses)-1]):
			}
		}
	}
}

// hear reads one connection to its end.
func (c *Changes) hear(master int, nc net.Conn, in *bufio.Reader, o *offset) {
	defer context.AfterFunc(c.ctx, func() { nc.Close() })()
	ended := make(chan struct{})
	defer close(ended)
	c.work.Go(func() {
		tick := time.NewTicker(ackInterval)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
				// That it has acknowledged nothing says that it lives, and no more.
				_ = nc.SetWriteDeadline(time.Now().Add(c.s.cfg.Timeout))
				_, _ = nc.Write(appendCommand(nil, "REPLCONF", "ACK", "0"))
			}
		}
	})
	if nc.SetReadDeadline(time.Time{}) != nil {
		return
	}
	for {
		done, err := readExecuted(in, c.s.cfg.Prefix)
		if err != nil {
			if errors.Is(err, errReplication) {
				c.fail(err)
			}
			return
		}
		select {
		case c.told <- told{master, done}:
			o.at += done.size
		case <-c.ctx.Done():
			return
		}
		c.ring()
	}
}

// watch looks at who has which slots, and whether the masters live.
func (c *Changes) watch() {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	silent := 0
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(c.ctx, c.s.cfg.Timeout)
		all, err := c.s.topology(ctx)
		cancel()
		switch {
		case c.ctx.Err() != nil:
			return
		case err == nil && all.covers == slotCount && all.sum != c.pos.sum:
			c.fail(fmt.Errorf("%w: other masters have the slots", ErrGone))
			return
		case err != nil || all.covers != slotCount:
			if silent++; silent == watchPatience {
				c.fail(fmt.Errorf("not all slots have a master: %w", errTopology))
				return
			}
		default:
			silent = 0
		}
	}
}

// watchPatience is how often in a row slots may lack a master until a stream ends: its reader learns then that nothing comes.
const watchPatience = 5

func (c *Changes) fail(err error) {
	c.mu.Lock()
	if c.failed == nil {
		c.failed = err
	}
	c.mu.Unlock()
	c.ring()
	c.cancel()
}

func (c *Changes) ring() {
	c.mu.Lock()
	more := c.more
	c.mu.Unlock()
	if more != nil {
		more()
	}
}

// OnMore has f called when there may be more, until stop is.
func (c *Changes) OnMore(f func()) (stop func()) {
	set := func(f func()) {
		c.mu.Lock()
		c.more = f
		c.mu.Unlock()
	}
	set(f)
	return func() { set(nil) }
}

// Next returns the following change, nil when there is none yet. It waits for what was there when c was opened.
func (c *Changes) Next() (*Change, error) {
	for {
		if len(c.rest) > 0 {
			next := c.rest[0]
			c.rest = c.rest[1:]
			return &next, nil
		}
		var t told
		if c.behind() {
			select {
			case t = <-c.told:
			case <-c.ctx.Done():
				return nil, c.reason()
			}
		} else {
			select {
			case t = <-c.told:
			default:
				return nil, c.reason()
			}
		}
		if err := c.take(&t); err != nil {
			return nil, err
		}
	}
}

// behind reports whether something is still to come that was there at the beginning.
func (c *Changes) behind() bool {
	for i := range c.pos.masters {
		if c.pos.masters[i].at < c.ends[i] {
			return true
		}
	}
	return false
}

// reason is why nothing comes; nil when something may.
func (c *Changes) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return c.failed
	}
	return context.Cause(c.ctx)
}

// take makes changes of a command, and moves the position behind it.
func (c *Changes) take(t *told) error {
	c.pos.masters[t.master].at += t.size
	switch t.name {
	case "FLUSHALL", "FLUSHDB", "SWAPDB":
		err := fmt.Errorf("%w: somebody has called %s at a master", ErrGone, t.name)
		c.fail(err)
		return err
	}
	deleted := t.name == "DEL" || t.name == "UNLINK"
	for _, key := range t.keys {
		c.rest = append(c.rest, Change{Key: key, Deleted: deleted})
	}
	for _, f := range t.floors {
		if f.version <= c.flushed {
			continue // under another key
		}
		c.flushed = f.version
		// Who hears of it finds that this front obeys it.
		if err := c.s.floors.renew(c.ctx, c.s); err != nil {
			return err
		}
		at := f.active
		if f.pending != 0 {
			at = f.pending
		}
		c.rest = append(c.rest, Change{Flush: true, At: at / 1000})
	}
	return nil
}

// Position is behind the last change that Next returned.
func (c *Changes) Position() string { return c.pos.text() }

// Close ends it.
func (c *Changes) Close() {
	c.cancel()
	c.work.Wait()
}

// Look returns what the cluster holds under a key now, with its expiry in Unix milliseconds, 0 for never.
func (s *Store) Look(key []byte, v *store.View) (found bool, expires int64, err error) {
	if found = s.Acquire(key, v); !found {
		return false, 0, v.Fault
	}
	if v.Expires != 0 {
		expires = hlc.Epoch.UnixMilli() + int64(v.Expires)
	}
	return true, expires, nil
}
