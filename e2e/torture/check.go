//go:build linux

package main

import (
	"fmt"
	"slices"
	"time"
)

// verdict is the result of one checker.
type verdict struct {
	name       string
	rule       string // what is checked, one sentence
	checked    int    // of unit
	unit       string
	exempt     int    // that were not held against the nodes
	note       string // what else to know, such as a measured figure
	wrong      int
	violations []violation // the first of them
}

// violation is one broken promise.
type violation struct {
	at   time.Duration
	key  *key // nil if it is not about one
	text string
}

// maxViolations is how many violations of one checker are kept.
const maxViolations = 20

func (v *verdict) fail(at time.Duration, k *key, format string, args ...any) {
	v.wrong++
	if len(v.violations) < maxViolations {
		v.violations = append(v.violations, violation{at, k, fmt.Sprintf(format, args...)})
	}
}

// margin is how far the order of two writes by the clocks of the nodes, which count milliseconds, may differ from that by
// the clock of this program. Both nodes run on one machine.
const margin = 5 * time.Millisecond

// expirySlack is how far a reply may be from the moment at which the node looked at its clock, besides the time that the
// operation itself took.
const expirySlack = 200 * time.Millisecond

// checks compares histories with promises.
type checks struct {
	e       *evidence
	excused int // reads that only a clock ahead explains

	kept, counted, buried, adds, agreedExpiry, present verdict
}

// checkHistory runs all checkers that need nothing but what clients saw and the evidence.
func checkHistory(keys []*key, e *evidence) []verdict {
	e.index()
	c := &checks{
		e: e,
		kept: verdict{name: "acknowledged writes", unit: "reads",
			rule: "No acknowledged write is missing: whatever a read shows instead was written later, or at the same time."},
		buried: verdict{name: "no resurrection", unit: "reads",
			rule: "A key whose last operation is an acknowledged delete stays deleted."},
		adds: verdict{name: "adds", unit: "reads and adds",
			rule: "A key that was added is there with a value that somebody tried to add, and no node adds a key that it holds."},
		counted: verdict{name: "counters", unit: "reads",
			rule: "A counter is at least the sum of the acknowledged increments that the node must have, and at most that of the attempted ones."},
		agreedExpiry: verdict{name: "expiry", unit: "reads",
			rule: "A key with an expiry is there until then, and after it on no node."},
		present: verdict{name: "never the past", unit: "reads",
			rule: "A node that says after a restart that it is ready and has caught up serves all that was acknowledged anywhere before."},
	}
	for _, k := range keys {
		c.key(k)
	}
	if c.excused > 0 {
		c.kept.note = fmt.Sprintf("%d times a write won over a later one of the other node, which did not know of it: a clock is put ahead, up to %v are allowed for, when a log may have lost something", c.excused, lostMargin)
	}
	return []verdict{c.kept, c.counted, c.buried, c.adds, c.agreedExpiry, c.present}
}

// key checks one key.
func (c *checks) key(k *key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	slices.SortStableFunc(k.ops, func(a, b op) int { return int(a.inv - b.inv) })
	w := c.writes(k)
	v := map[class]*verdict{register: &c.kept, deleted: &c.buried, added: &c.adds, expiring: &c.agreedExpiry, counter: &c.counted}[k.class]
	v.exempt += w.exempt
	judge := map[class]func(*key, *writes, *op) string{
		register: c.judgeRegister, deleted: c.judgeRegister, added: c.judgeAdded, expiring: c.judgeExpiring, counter: c.judgeCounter,
	}[k.class]
	for i := range k.ops {
		o := &k.ops[i]
		if k.class == added && o.kind == add && o.outcome == done && c.e.trusted(o) {
			v.checked++
			if earlier := w.shownBefore(o); earlier != nil {
				v.fail(o.ret, k, "key %s: %v, although there was already: %v", k.name, o, earlier)
			}
		}
		if o.kind != get || o.outcome != done || !c.e.trusted(o) {
			continue
		}
		into := v
		if o.returning {
			into = &c.present
		}
		into.checked++
		if problem := judge(k, w, o); problem != "" {
			into.fail(o.ret, k, "%s %s: %s; %s", k.class, k.name, o, problem)
		}
	}
}

// writes are the writes of one key and what is known of them.
type writes struct {
	e       *evidence
	all     []*op          // in order of requests
	value   map[string]*op // by what was written
	binding []binding      // acknowledged, and not exempt
	exempt  int
}

// binding is a write that must show.
type binding struct {
	*op
	shown [2]time.Duration // since when a node must show it
}

func (c *checks) writes(k *key) *writes {
	w := &writes{e: c.e, value: map[string]*op{}}
	for i := range k.ops {
		o := &k.ops[i]
		if o.kind == get {
			continue
		}
		w.all = append(w.all, o)
		if o.value != "" {
			w.value[o.value] = o
		}
		if o.outcome != done {
			continue
		}
		if c.e.exempt(o) {
			w.exempt++
			continue
		}
		w.binding = append(w.binding, binding{o, [2]time.Duration{c.e.shown(o, 0), c.e.shown(o, 1)}})
	}
	return w
}

// binds reports whether a read must show a write, or a later one.
func (b *binding) binds(read *op) bool {
	switch {
	case read.sweep:
		return b.ret < read.inv
	case read.returning:
		return b.ret < read.horizon
	}
	return b.shown[read.node] < read.inv
}

// latest returns the write that a read must show or a later one; nil if there is none.
func (w *writes) latest(read *op) *op {
	var last *op
	for i := range w.binding {
		if b := &w.binding[i]; b.binds(read) && (last == nil || b.inv > last.inv) {
			last = b.op
		}
	}
	return last
}

// shownBefore returns an acknowledged write that the node of o certainly held when o began, nil if there is none.
func (w *writes) shownBefore(o *op) *op {
	for i := range w.binding {
		if b := &w.binding[i]; b.op != o && b.shown[o.node] < o.inv {
			return b.op
		}
	}
	return nil
}

// written returns the write that a read shows, or what is wrong with it.
func (w *writes) written(read *op) (*op, string) {
	o := w.value[read.value]
	switch {
	case o == nil:
		return nil, "nobody wrote that here"
	case o.inv > read.ret:
		return nil, fmt.Sprintf("that was written later: %v", o)
	case o.outcome == refused:
		return nil, fmt.Sprintf("that was refused: %v", o)
	}
	return o, ""
}

// judgeRegister demands that what a read shows could be the last write.
func (c *checks) judgeRegister(k *key, w *writes, read *op) string {
	must := w.latest(read)
	if read.value != "" {
		o, problem := w.written(read)
		if problem != "" {
			return problem
		}
		if after := c.overwritten(w, o, must, read); after != nil {
			return fmt.Sprintf("that was written by: %v; overwritten by: %v", o, after)
		}
		return ""
	}
	if must == nil {
		return ""
	}
	for _, o := range w.all {
		if o.kind == remove && o.outcome != refused && o.inv <= read.ret && c.overwritten(w, o, must, read) == nil {
			return ""
		}
	}
	return fmt.Sprintf("missing: %v", must)
}

// overwritten returns a write that the read must show and that is certainly later than o. must is the last one that it must
// show by the clock of this program.
func (c *checks) overwritten(w *writes, o, must, read *op) *op {
	end := c.e.effectEnd(o)
	if must == nil || must.inv <= end+margin {
		return nil
	}
	for i := range w.binding {
		if b := &w.binding[i]; b.binds(read) && c.e.later(b.op, o, end) {
			return b.op
		}
	}
	c.excused++
	return nil
}

func (c *checks) judgeAdded(k *key, w *writes, read *op) string {
	if read.value != "" {
		_, problem := w.written(read)
		return problem
	}
	if must := w.latest(read); must != nil {
		return fmt.Sprintf("missing: %v", must)
	}
	return ""
}

// judgeExpiring knows that the key has one write.
func (c *checks) judgeExpiring(k *key, w *writes, read *op) string {
	if read.value != "" {
		o, problem := w.written(read)
		if problem != "" {
			return problem
		}
		end := c.e.effectEnd(o)
		if end != never && read.inv > end+o.ttl+expirySlack {
			return fmt.Sprintf("it had to be gone %v after: %v", o.ttl, o)
		}
		return ""
	}
	if must := w.latest(read); must != nil && read.ret < must.inv+must.ttl-expirySlack {
		return fmt.Sprintf("it had to be there for %v after: %v", must.ttl, must)
	}
	return ""
}

// judgeCounter knows that the key was set once, while both nodes were there, and only counted up since.
func (c *checks) judgeCounter(k *key, w *writes, read *op) string {
	var got, least, most uint64
	if read.value == "" {
		return "the counter is missing"
	}
	if _, err := fmt.Sscanf(read.value, "%d", &got); err != nil {
		return "that is no number"
	}
	for i := range w.binding {
		if b := &w.binding[i]; b.kind == incr && b.binds(read) {
			least += b.delta
		}
	}
	for _, o := range w.all {
		if o.kind == incr && o.outcome != refused && o.inv <= read.ret {
			most += o.delta
		}
	}
	if got < least || got > most {
		return fmt.Sprintf("want %d, the sum of the acknowledged increments, to %d, that of the attempted ones", least, most)
	}
	return ""
}
