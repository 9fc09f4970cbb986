package store

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Level is how far a write must have come before it is acknowledged.
type Level uint8

const (
	DefaultLevel Level = iota // what the node is configured for
	LevelLocal                // here, as safe as the disk policy demands
	LevelPeer                 // at a peer as well, unless this node is solo
	LevelStrict               // at a peer as well; a write that no peer confirms fails
)

var levelNames = [...]string{LevelLocal: "local", LevelPeer: "peer", LevelStrict: "strict"}

// String is the name that ParseLevel reads.
func (l Level) String() string { return levelNames[l] }

// ParseLevel reads local, peer or strict.
func ParseLevel(name string) (l Level, ok bool) {
	i := slices.Index(levelNames[:], name)
	return Level(max(i, 0)), i > 0
}

// gate decides when the reply to a write may leave: the write is as safe as the disk policy demands, and with LevelPeer or
// LevelStrict a peer has it too. It alone decides solo, and which writes failed; gate_peers.go says how.
//
// At a peer means at any one of those that follow this log. Every position below only rises.
type gate struct {
	s      *Store
	mode   Level         // of the node
	passed atomic.Uint64 // writes that may be acknowledged at the node's own level
	failed atomic.Uint64 // of those that were not, the ones up to here fail with LevelStrict
	within atomic.Bool   // a peer follows that can confirm

	mu        sync.Mutex
	here      uint64            // passed with LevelLocal
	shared    uint64            // the same with LevelStrict: here, and at a peer
	paired    uint64            // the same with LevelPeer: shared, or solo
	followers map[int]*follower // peers that follow this log now
	solo      bool              // nobody confirms: LevelPeer is content with LevelLocal
	soloSince time.Time
	soloTime  time.Duration // of ended solo times
	soloCount int64         // solo times that have begun
	soloWhy   string
	joined    uint64        // end of the log when the last solo time ended: what passed up to here may be missing at the peer
	awaited   ends          // unconfirmed ends of the log: one that is overdue begins a solo time
	owed      ends          // the same, of writes with LevelStrict: one that is overdue fails what lies before it
	overdue   uint64        // what failed becomes
	watching  bool          // watch runs
	changed   chan struct{} // closed when a position rose; nil while nobody waits
	listeners []*listener   // replaced, never changed in place
	risers    []*listener   // the same, of OnRise

	refused     atomic.Uint64 // writes refused because no peer could confirm them
	unconfirmed atomic.Uint64 // writes answered with ErrUnconfirmed
}

type listener struct{ f func() }

func (g *gate) init(s *Store) {
	g.s, g.mode = s, LevelLocal
	switch {
	case s.cfg.AckStrict:
		g.mode = LevelStrict
	case s.cfg.AckPeer:
		g.mode = LevelPeer
	}
	g.followers = map[int]*follower{}
	g.solo, g.soloSince, g.soloWhy, g.soloCount = true, time.Now(), "no peer has connected yet", 1
}

// resolve returns what a level means on this node.
func (g *gate) resolve(l Level) Level {
	if l == DefaultLevel {
		return g.mode
	}
	return l
}

// refuses returns why a write at a level is not begun: it could not be acknowledged, whatever comes. nil when it may be.
func (g *gate) refuses(l Level) error {
	if g.resolve(l) != LevelStrict || g.within.Load() {
		return nil
	}
	return ErrNoPeer
}

// admit is refuses for a write that is about to begin.
func (g *gate) admit(l Level) error {
	err := g.refuses(l)
	if err != nil {
		g.refused.Add(1)
	}
	return err
}

// local is the position that this node's own policy has passed.
func (g *gate) local() uint64 {
	if g.s.cfg.Fsync == "always" {
		return g.s.log.Durable()
	}
	return g.s.log.Written()
}

// logRose is called when the log wrote, synced or failed.
func (g *gate) logRose() {
	if g.s.log == nil {
		return
	}
	g.mu.Lock()
	wake, risers := g.settleLocked(), g.risers
	g.mu.Unlock()
	for _, l := range risers {
		l.f()
	}
	for _, l := range wake {
		l.f()
	}
}

// change runs f under the lock and lets go what may go on then.
func (g *gate) change(f func()) {
	g.mu.Lock()
	f()
	wake := g.settleLocked()
	g.mu.Unlock()
	for _, l := range wake {
		l.f()
	}
}

// settleLocked works out the positions, wakes who waits in WaitAt, and returns the listeners that must hear of it.
func (g *gate) settleLocked() (wake []*listener) {
	before := [...]uint64{g.here, g.shared, g.paired}
	g.here = max(g.here, g.local())
	g.shared = max(g.shared, min(g.here, g.confirmedLocked()))
	g.paired = max(g.paired, g.shared)
	if g.solo {
		g.paired = max(g.paired, g.here)
	}
	broken := g.s.log.Failed() != nil
	decided := broken
	// Before the failures: who finds a write failed looks once more whether it passed.
	if p := g.positionLocked(g.mode); p > g.passed.Load() {
		g.passed.Store(p)
		decided = true
	}
	if !g.within.Load() {
		g.overdue = g.s.log.Written() // also what was begun while a peer was there
	}
	failed := g.overdue > g.failed.Load()
	if failed {
		g.failed.Store(g.overdue)
		decided = decided || g.mode == LevelStrict
	}
	if g.changed != nil && (broken || failed || before != [...]uint64{g.here, g.shared, g.paired}) {
		close(g.changed)
		g.changed = nil
	}
	if decided {
		return g.listeners
	}
	return nil
}

// positionLocked is the position that has passed at a level.
func (g *gate) positionLocked(l Level) uint64 {
	switch l {
	case LevelStrict:
		return g.shared
	case LevelPeer:
		return g.paired
	}
	return g.here
}

// Level is what a positive reply to a write means on this node, unless its request asks for another level.
func (s *Store) Level() Level { return s.gate.mode }

// Passed reports whether replies to a write at seq may leave. ErrUnconfirmed means that the write failed: it is here, and
// may or may not be at a peer. Another error means that nothing will be known about it.
func (s *Store) Passed(seq uint64) (bool, error) {
	g := &s.gate
	if seq <= g.passed.Load() {
		return true, nil
	}
	if g.mode == LevelStrict && seq <= g.failed.Load() {
		if seq <= g.passed.Load() {
			return true, nil
		}
		return false, ErrUnconfirmed
	}
	return false, s.log.Failed()
}

// Acknowledged is the position up to which writes may be acknowledged at the node's own level.
func (s *Store) Acknowledged() uint64 { return s.gate.passed.Load() }

// Reached reports how far a write at seq has come that is to be acknowledged at a level: LevelLocal or LevelPeer once it
// may be, DefaultLevel while it must wait. A write that asks for LevelPeer has reached LevelLocal if this node is solo, one
// that asks for LevelLocal never more than that. Errors are those of Passed.
func (s *Store) Reached(seq uint64, level Level) (Level, error) {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	return s.gate.reachedLocked(seq, s.gate.resolve(level))
}

func (g *gate) reachedLocked(seq uint64, level Level) (Level, error) {
	switch {
	case level == LevelLocal && seq <= g.here:
		return LevelLocal, nil
	case level != LevelLocal && seq <= g.shared:
		return LevelPeer, nil
	case level == LevelPeer && seq <= g.paired:
		return LevelLocal, nil
	case level == LevelStrict && seq <= g.failed.Load():
		return DefaultLevel, ErrUnconfirmed
	}
	return DefaultLevel, g.s.log.Failed()
}

// Wait blocks until replies to a write at seq may leave. Errors are those of Passed, and ctx's.
func (s *Store) Wait(ctx context.Context, seq uint64) error {
	_, err := s.WaitAt(ctx, seq, DefaultLevel)
	return err
}

// WaitAt blocks until Reached gives an answer, and returns it.
func (s *Store) WaitAt(ctx context.Context, seq uint64, level Level) (Level, error) {
	g := &s.gate
	level = g.resolve(level)
	for {
		g.mu.Lock()
		reached, err := g.reachedLocked(seq, level)
		if reached == DefaultLevel && err == nil && g.changed == nil {
			g.changed = make(chan struct{})
		}
		changed := g.changed
		g.mu.Unlock()
		if reached != DefaultLevel || err != nil {
			return reached, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return DefaultLevel, ctx.Err()
		}
	}
}

// OnPass has f called, from any goroutine, whenever Passed may answer differently. f must not block.
func (s *Store) OnPass(f func()) (cancel func()) {
	return s.gate.listen(&s.gate.listeners, f)
}

// OnRise has f called, from any goroutine, whenever more of the log was written or synced. f must not block.
func (s *Store) OnRise(f func()) (cancel func()) {
	return s.gate.listen(&s.gate.risers, f)
}

func (g *gate) listen(list *[]*listener, f func()) (cancel func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	mine := &listener{f}
	*list = append(slices.Clone(*list), mine)
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		*list = slices.DeleteFunc(slices.Clone(*list), func(l *listener) bool { return l == mine })
	}
}
