package users

import (
	"bytes"
	"context"
	"runtime"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// The limits of passwords that wait to be looked at.
const (
	maxWaiting     = 1024
	maxWaitingHost = 64 // of one host
	// restFactor is how many times as long as its hash took a worker rests after a wrong password.
	restFactor = 3
)

// queue holds the passwords that wait to be looked at. Users.mu guards it.
type queue struct {
	byMAC map[mac]*attempt      // waiting or looked at
	hosts map[string][]*attempt // waiting, the oldest first; no entry is empty
	turns []string              // the hosts that wait, in the order of their turns
	size  int                   // waiting
	busy  int                   // workers that run or rest
	most  int                   // workers there may be
}

// attempt is one password that is looked at for all who gave it.
type attempt struct {
	mac        mac
	from, name string
	hash       string
	password   []byte
	done       chan struct{}
	// Once done is closed.
	right   bool
	limited bool // it was not looked at: its host had guessed too often
}

func (q *queue) init() {
	q.byMAC, q.hosts = map[mac]*attempt{}, map[string][]*attempt{}
	q.most = max(runtime.GOMAXPROCS(0)/4, 1)
}

// attempt has a password looked at and waits for that. It may be joined to the attempt of another host for the same pair.
func (u *Users) attempt(ctx context.Context, want *attempt, password []byte) (*attempt, error) {
	for {
		a, err := u.enqueue(want, password)
		if err != nil {
			return nil, err
		}
		select {
		case <-a.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if !a.limited || a.from == want.from {
			return a, nil
		}
	}
}

// enqueue returns the attempt for a password, which may be one that others wait for already.
func (u *Users) enqueue(want *attempt, password []byte) (*attempt, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	q, from := &u.queue, want.from
	if a := q.byMAC[want.mac]; a != nil {
		return a, nil
	}
	waiting := q.hosts[from]
	if q.size >= maxWaiting || len(waiting) >= maxWaitingHost {
		return nil, ErrBusy
	}
	a := &attempt{mac: want.mac, from: from, name: want.name, hash: want.hash, password: bytes.Clone(password), done: make(chan struct{})}
	if len(waiting) == 0 {
		q.turns = append(q.turns, from)
	}
	q.byMAC[a.mac], q.hosts[from] = a, append(waiting, a)
	q.size++
	if q.busy < q.most {
		q.busy++
		go u.work()
	}
	return a, nil
}

// next takes the attempt whose turn it is, nil when none waits.
func (q *queue) next() *attempt {
	if len(q.turns) == 0 {
		return nil
	}
	host := q.turns[0]
	q.turns = q.turns[1:]
	waiting := q.hosts[host]
	a := waiting[0]
	if waiting = waiting[1:]; len(waiting) > 0 {
		q.hosts[host] = waiting
		q.turns = append(q.turns, host)
	} else {
		delete(q.hosts, host)
	}
	q.size--
	return a
}

// work looks at passwords until none waits.
func (u *Users) work() {
	for {
		u.mu.Lock()
		a := u.queue.next()
		if a == nil {
			u.queue.busy--
			u.mu.Unlock()
			return
		}
		if u.limitedLocked(a.from, a.name, false) {
			a.limited = true
			delete(u.queue.byMAC, a.mac)
			u.mu.Unlock()
			close(a.done)
			continue
		}
		u.mu.Unlock()
		began := time.Now()
		a.right = bcrypt.CompareHashAndPassword([]byte(a.hash), a.password) == nil
		took := time.Since(began)
		u.finish(a)
		if !a.right {
			time.AfterFunc(restFactor*took, u.work)
			return
		}
	}
}

// finish tells who waits, and remembers what was wrong.
func (u *Users) finish(a *attempt) {
	u.mu.Lock()
	delete(u.queue.byMAC, a.mac)
	if !a.right {
		if len(u.failed) >= maxFailed {
			clear(u.failed)
		}
		u.failed[a.mac] = struct{}{}
		u.guessLocked(a.from, a.name)
	}
	u.mu.Unlock()
	close(a.done)
}
