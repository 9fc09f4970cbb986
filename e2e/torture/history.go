//go:build linux

package main

import (
	"fmt"
	"sync"
	"time"
)

// kind is what a client asked for.
type kind uint8

const (
	get kind = iota
	set
	add
	remove
	incr
)

func (k kind) String() string { return [...]string{"get", "set", "add", "delete", "incr"}[k] }

// outcome is what a client knows afterwards.
type outcome uint8

const (
	done    outcome = iota // acknowledged, or read
	refused                // the reply says that nothing was changed
	unknown                // no reply, or one that does not say
)

// op is one operation as its client saw it.
type op struct {
	kind    kind
	outcome outcome
	// node answered; with outcome unknown it is the one that was asked last.
	node int8
	// pending has a bit for each node that was asked without a reply: it may execute the request later, for as long as its
	// process lives.
	pending   uint8
	inv, ret  time.Duration // the request left after inv, the reply was there before ret
	value     string        // written or read; empty is absent
	delta     uint64        // of incr
	ttl       time.Duration // of a set that expires
	sweep     bool          // a read after everything was healed: it must show all that was acknowledged
	returning bool          // a read of a node that has just become ready again
	horizon   time.Duration // of returning: what was acknowledged before this must show
}

func (o *op) String() string {
	text := o.kind.String()
	switch o.kind {
	case incr:
		text += fmt.Sprintf(" %d", o.delta)
	case get:
		if o.value == "" {
			return fmt.Sprintf("get -> absent, %s", o.when())
		}
		text += " ->"
		fallthrough
	default:
		if o.value != "" {
			text += fmt.Sprintf(" %.40q", o.value)
		}
	}
	return fmt.Sprintf("%s, %s, %s", text, [...]string{"acknowledged", "refused", "effect unknown"}[o.outcome], o.when())
}

func (o *op) when() string {
	return fmt.Sprintf("node %c, %v to %v", 'A'+rune(o.node), o.inv.Round(time.Millisecond/10), o.ret.Round(time.Millisecond/10))
}

// class is how a key is used, which decides what is checked.
type class uint8

const (
	register class = iota // set, delete and get by anybody
	deleted               // set once, deleted, and never written again
	added                 // only ever added
	expiring              // set once, with an expiry
	counter               // set to 0 while both nodes were there, then only counted up
)

func (c class) String() string {
	return [...]string{"register", "deleted", "added", "expiring", "counter"}[c]
}

// key is a key with all that was done to it, in the order of replies.
type key struct {
	name  string
	class class

	mu  sync.Mutex
	ops []op
}

func (k *key) record(o op) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ops = append(k.ops, o)
}

// history is all keys.
type history struct {
	mu   sync.Mutex
	keys []*key
}

func (h *history) newKey(name string, c class) *key {
	k := &key{name: name, class: c}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keys = append(h.keys, k)
	return k
}

// all returns the keys that there are now.
func (h *history) all() []*key {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.keys[:len(h.keys):len(h.keys)]
}
