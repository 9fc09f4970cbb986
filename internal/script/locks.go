package script

import (
	"context"
	"hash/maphash"
	"strings"
	"sync"

	"golang.org/x/sync/semaphore"
)

// LockMode says what a call excludes.
type LockMode int

const (
	// LockNone excludes nothing.
	LockNone LockMode = iota
	// LockRecord excludes calls that lock the same key.
	LockRecord
	// LockGlobal excludes all calls that lock.
	LockGlobal
)

// The original has 31 slots. Keys that share one only wait for each other.
const lockSlots = 1024

// locks are taken in one order, first the gate and then a slot, and only one slot each: nobody waits for himself.
type locks struct {
	seed  maphash.Seed
	gate  *semaphore.Weighted // a record lock takes 1, the global lock all; first come, first served
	slots [lockSlots]chan struct{}
	idle  func(ctx context.Context, wait func())
}

// lockAll is more than there are calls at once.
const lockAll = 1 << 30

func newLocks(idle func(ctx context.Context, wait func())) *locks {
	l := &locks{seed: maphash.MakeSeed(), gate: semaphore.NewWeighted(lockAll), idle: idle}
	for i := range l.slots {
		l.slots[i] = make(chan struct{}, 1)
	}
	return l
}

// lock waits for a lock until ctx ends. The caller must call unlock once.
func (l *locks) lock(ctx context.Context, mode LockMode, key []byte) (unlock func(), err error) {
	if mode == LockNone {
		return func() {}, nil
	}
	var weight int64 = 1
	if mode == LockGlobal {
		weight = lockAll
	}
	if !l.gate.TryAcquire(weight) {
		if l.idle(ctx, func() { err = l.gate.Acquire(ctx, weight) }); err != nil {
			return nil, context.Cause(ctx)
		}
	}
	if mode == LockGlobal {
		return func() { l.gate.Release(weight) }, nil
	}
	slot := l.slots[maphash.Bytes(l.seed, key)%lockSlots]
	unlock = func() { <-slot; l.gate.Release(weight) }
	select {
	case slot <- struct{}{}:
		return unlock, nil
	default:
	}
	l.idle(ctx, func() {
		select {
		case slot <- struct{}{}:
		case <-ctx.Done():
			l.gate.Release(weight)
			unlock, err = nil, context.Cause(ctx)
		}
	})
	return unlock, err
}

// The limits of named locks.
const (
	maxNames    = 64 << 10
	maxLockName = 1024 // bytes
)

// names are the locks that scripts take by _lock. One outlives the call that took it, unless that call ends with an
// error; anybody may give it back.
type names struct {
	mu   sync.Mutex
	held map[string]chan struct{} // closed when given back
	idle func(ctx context.Context, wait func())
}

// lock waits for a lock until ctx ends. ok is false when there are too many locks.
func (n *names) lock(ctx context.Context, name string) (held chan struct{}, ok bool, err error) {
	for {
		n.mu.Lock()
		held, taken := n.held[name]
		if !taken {
			defer n.mu.Unlock()
			if len(n.held) >= maxNames || len(name) > maxLockName {
				return nil, false, nil
			}
			if n.held == nil {
				n.held = map[string]chan struct{}{}
			}
			held = make(chan struct{})
			n.held[strings.Clone(name)] = held // name may be a piece of a large string
			return held, true, nil
		}
		n.mu.Unlock()
		n.idle(ctx, func() {
			select {
			case <-held:
			case <-ctx.Done():
			}
		})
		if ctx.Err() != nil {
			return nil, false, context.Cause(ctx)
		}
	}
}

// unlock says whether the lock was taken.
func (n *names) unlock(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	held, ok := n.held[name]
	if ok {
		close(held)
		delete(n.held, name)
	}
	return ok
}

// release gives those of the locks back that nobody else has taken since.
func (n *names) release(taken map[string]chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, held := range taken {
		if n.held[name] == held {
			close(held)
			delete(n.held, name)
		}
	}
}

var lockFunctions = map[string]builtin{"_lock": lockName, "_unlock": unlockName}

func lockName(c call) int {
	c.count(1, 1)
	name := c.str(1)
	held, ok, err := c.h.names.lock(c.ctx, name)
	if err != nil {
		c.check(c.L)
	}
	if ok {
		if c.taken == nil {
			c.taken = map[string]chan struct{}{}
		}
		c.taken[name] = held
	}
	return c.pushBool(ok)
}

func unlockName(c call) int {
	c.count(1, 1)
	return c.pushBool(c.h.names.unlock(c.str(1)))
}
