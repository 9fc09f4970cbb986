// Package hlc issues hybrid-logical-clock stamps: 64-bit numbers that are unique in the mesh, totally ordered, rise
// strictly on each node and stay close to the wall clock. A stamp names a write, orders it against every other and
// tells which node made it.
//
// Layout, most significant bits first:
//
//	+--------------------------------+-----------------+-----------+
//	| 42 bits ms since 2020-01-01UTC | 12 bits counter | 10 bits node |
//	+--------------------------------+-----------------+-----------+
//
// The counter may overflow into the milliseconds: the clock then runs ahead of the wall, which is harmless.
package hlc

import (
	"fmt"
	"sync/atomic"
	"time"
)

const (
	nodeBits    = 10
	counterBits = 12

	// MaxNode is the largest node id; ids start at 1.
	MaxNode = 1<<nodeBits - 1

	// step is the distance between two stamps of one node: one count, the node id unchanged.
	step = 1 << nodeBits
)

// Epoch is the zero of every time in a record: 2020-01-01 UTC.
var Epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// Stamp is a point of the hybrid clock. 0 means "no write" and is never issued.
type Stamp uint64

// Make composes a stamp. Values that do not fit their field are cut.
func Make(millis int64, counter, node int) Stamp {
	return Stamp(uint64(millis)<<(nodeBits+counterBits) | uint64(counter&(1<<counterBits-1))<<nodeBits | uint64(node&MaxNode))
}

// Millis is the wall part, in milliseconds since Epoch.
func (s Stamp) Millis() int64 { return int64(s >> (nodeBits + counterBits)) }

// Counter is the logical part.
func (s Stamp) Counter() int { return int(s>>nodeBits) & (1<<counterBits - 1) }

// Node is the id of the node that issued the stamp; 0 for a stamp made of a time alone.
func (s Stamp) Node() int { return int(s & MaxNode) }

// Time is the wall part as a time.
func (s Stamp) Time() time.Time { return Epoch.Add(time.Duration(s.Millis()) * time.Millisecond) }

func (s Stamp) String() string {
	return fmt.Sprintf("%d.%d@%d", s.Millis(), s.Counter(), s.Node())
}

// Millis converts a wall time to milliseconds since Epoch; times before it give 0.
func Millis(t time.Time) int64 { return max(t.Sub(Epoch).Milliseconds(), 0) }

// DriftError reports a foreign stamp, or the clock's own last stamp, too far ahead of the wall clock.
type DriftError struct {
	Stamp Stamp
	Ahead time.Duration // of the wall clock
	Bound time.Duration
}

func (e *DriftError) Error() string {
	return fmt.Sprintf("stamp %v of node %d is %v ahead of this clock, allowed are %v: compare the clocks of both machines, or take it with futago clock admit", e.Stamp, e.Stamp.Node(), e.Ahead.Round(time.Millisecond), e.Bound)
}

// Clock issues the stamps of one node. It is safe for concurrent use.
type Clock struct {
	node     uint64
	wall     func() time.Time
	maxAhead time.Duration
	last     atomic.Uint64
	admitted atomic.Uint64 // stamps up to here are taken, however far ahead
}

// NewClock returns the clock of a node (1..MaxNode). wall nil means time.Now. maxAhead bounds how far a stamp may be
// ahead of the wall clock.
func NewClock(node int, maxAhead time.Duration, wall func() time.Time) *Clock {
	if node < 1 || node > MaxNode {
		panic(fmt.Sprintf("hlc: node id %d out of 1..%d", node, MaxNode))
	}
	if wall == nil {
		wall = time.Now
	}
	return &Clock{node: uint64(node), wall: wall, maxAhead: maxAhead}
}

// Node is the id that the clock puts into its stamps.
func (c *Clock) Node() int { return int(c.node) }

// Now is the wall time in milliseconds since Epoch.
func (c *Clock) Now() int64 { return Millis(c.wall()) }

// Wall is the wall time.
func (c *Clock) Wall() time.Time { return c.wall() }

// Last is the highest stamp issued or observed.
func (c *Clock) Last() Stamp { return Stamp(c.last.Load()) }

// Next issues a stamp above every one issued or observed before. The caller must hold the append reservation of the
// log, so that the stamps of one node rise along its log.
func (c *Clock) Next() Stamp {
	for {
		last := c.last.Load()
		next := uint64(c.Now())<<(nodeBits+counterBits) | c.node
		if next <= last {
			next = (last &^ MaxNode) + step | c.node
		}
		if c.last.CompareAndSwap(last, next) {
			return Stamp(next)
		}
	}
}

// Check returns a *DriftError when s is further ahead of the wall clock than allowed.
func (c *Clock) Check(s Stamp) error {
	ahead := time.Duration(s.Millis()-c.Now()) * time.Millisecond
	if ahead > c.maxAhead && uint64(s) > c.admitted.Load() {
		return &DriftError{Stamp: s, Ahead: ahead, Bound: c.maxAhead}
	}
	return nil
}

// Admit has stamps up to s taken, however far ahead of the wall they are. The clock then runs ahead itself until the wall
// has come there.
func (c *Clock) Admit(s Stamp) {
	for {
		old := c.admitted.Load()
		if uint64(s) <= old || c.admitted.CompareAndSwap(old, uint64(s)) {
			return
		}
	}
}

// Admitted is the stamp of the last Admit.
func (c *Clock) Admitted() Stamp { return Stamp(c.admitted.Load()) }

// Observe moves the clock past s, so that every later write of this node wins over the one that s names.
// A stamp too far ahead is refused with a *DriftError and leaves the clock as it is.
func (c *Clock) Observe(s Stamp) error {
	if err := c.Check(s); err != nil {
		return err
	}
	c.Restore(s)
	return nil
}

// Restore moves the clock past s without looking at the wall: for stamps found in the node's own log.
func (c *Clock) Restore(s Stamp) {
	for {
		last := c.last.Load()
		if uint64(s) <= last || c.last.CompareAndSwap(last, uint64(s)) {
			return
		}
	}
}

// Drift returns a *DriftError while the clock itself is further ahead of the wall than allowed (the wall was set back,
// or the log holds stamps of a wrong clock); such a node must not take client writes.
func (c *Clock) Drift() error { return c.Check(c.Last()) }
