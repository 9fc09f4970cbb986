package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// gate decides when the reply to a write may leave: the write is as safe as the disk policy demands, and with AckPeer a
// peer has it too, or this node is solo. It alone decides solo.
//
// Solo holds for all writes at once: none waits. It begins when the link to the peer is closed, or when the peer was
// silent about a write for AckTimeout; it ends when the peer has confirmed the present end of the log.
type gate struct {
	s      *Store
	passed atomic.Uint64

	mu        sync.Mutex
	linked    map[int]bool // peers that follow this log now
	confirmed uint64       // highest position that a peer has applied, of its present link
	solo      bool
	soloSince time.Time
	soloTime  time.Duration // of ended solo times
	soloWhy   string
	probe     sample        // end of the log at some step of the present link and solo time; seq 0: none is taken
	joined    uint64        // end of the log when the last solo time ended: what passed up to here may be missing at the peer
	samples   []sample      // ends of the log, oldest first, that were not confirmed when taken
	changed   chan struct{} // closed when something changed; nil while nobody waits
	listeners []*listener   // replaced, never changed in place
	risers    []*listener   // the same, of OnRise
}

type listener struct{ f func() }

// sample says that the log ended at seq at a time.
type sample struct {
	at  time.Time
	seq uint64
}

func (g *gate) init(s *Store) {
	g.s = s
	g.linked = map[int]bool{}
	if s.cfg.AckPeer {
		g.solo, g.soloSince, g.soloWhy = true, time.Now(), "no peer has connected yet"
	}
}

// local is the position that this node's own policy has passed.
func (g *gate) local() uint64 {
	if g.s.log == nil {
		return 0
	}
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
	tell := g.updateLocked() || g.s.log.Failed() != nil
	risers := g.risers
	g.mu.Unlock()
	for _, l := range risers {
		l.f()
	}
	if tell {
		g.tell()
	}
}

func (g *gate) updateLocked() bool {
	pos := g.local()
	if g.s.cfg.AckPeer && !g.solo {
		pos = min(pos, g.confirmed)
	}
	if pos <= g.passed.Load() {
		return false
	}
	g.passed.Store(pos)
	return true
}

// tell wakes everybody who waits.
func (g *gate) tell() {
	g.mu.Lock()
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
	listeners := g.listeners
	g.mu.Unlock()
	for _, l := range listeners {
		l.f()
	}
}

// Passed reports whether replies to a write at seq may leave. An error means that they never will.
func (s *Store) Passed(seq uint64) (bool, error) {
	if seq <= s.gate.passed.Load() {
		return true, nil
	}
	return false, s.log.Failed()
}

// Wait blocks until replies to a write at seq may leave.
func (s *Store) Wait(ctx context.Context, seq uint64) error {
	for {
		s.gate.mu.Lock()
		if s.gate.changed == nil {
			s.gate.changed = make(chan struct{})
		}
		changed := s.gate.changed
		s.gate.mu.Unlock()
		if ok, err := s.Passed(seq); ok || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// OnPass has f called, from any goroutine, whenever the passed position rose or will never rise again. f must not block.
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

// Linked tells that a peer follows this log now, or no longer does.
func (s *Store) Linked(peer int, up bool) {
	g := &s.gate
	g.mu.Lock()
	g.probe = sample{}
	if up {
		g.linked[peer] = true
		if len(g.linked) == 1 {
			g.confirmed = 0 // it may have lost what it confirmed before
		}
	} else {
		delete(g.linked, peer)
		if len(g.linked) == 0 {
			g.goSoloLocked("link to the peer is closed")
		}
	}
	rose := g.updateLocked()
	g.mu.Unlock()
	if rose {
		g.tell()
	}
}

// Behind tells that a linked peer gets a snapshot: a position that it confirms says nothing about the entries before the
// snapshot's start, so none may be passed on to Confirm before it holds the whole. With no other peer linked, writes go
// solo until then.
func (s *Store) Behind(peer int) {
	g := &s.gate
	g.mu.Lock()
	others := len(g.linked)
	if g.linked[peer] {
		others--
	}
	if others == 0 {
		g.goSoloLocked("peer takes a snapshot")
	}
	rose := g.updateLocked()
	g.mu.Unlock()
	if rose {
		g.tell()
	}
}

// Confirm tells that a peer has applied this log up to seq.
func (s *Store) Confirm(peer int, seq uint64) {
	g := &s.gate
	g.mu.Lock()
	g.confirmed = max(g.confirmed, seq)
	g.dropConfirmedLocked()
	if g.solo && g.linked[peer] && seq >= s.log.Written() {
		g.endSoloLocked()
	}
	rose := g.updateLocked()
	g.mu.Unlock()
	if rose {
		g.tell()
	}
}

func (g *gate) dropConfirmedLocked() {
	for len(g.samples) > 0 && g.samples[0].seq <= g.confirmed {
		g.samples = g.samples[1:]
	}
}

func (g *gate) goSoloLocked(why string) {
	if g.solo || !g.s.cfg.AckPeer {
		return
	}
	g.solo, g.soloSince, g.soloWhy = true, time.Now(), why
	g.samples, g.probe = nil, sample{}
	g.s.logger.Warn("solo: writes are acknowledged without the peer", "err", errors.New(why))
}

func (g *gate) endSoloLocked() {
	g.solo, g.joined = false, g.s.log.Written()
	took := time.Since(g.soloSince)
	g.soloTime += took
	g.samples = nil
	g.s.logger.Info("solo ended: writes are acknowledged by the peer", "took", took.Round(time.Millisecond))
}

// Joined returns the position from which on nothing is acknowledged without the peer: a peer that has applied the log up
// to it misses nothing that a client was told, now or later on this link. ok is false while this node is solo. Where
// acknowledgements never wait for a peer the position is 0.
func (s *Store) Joined() (seq uint64, ok bool) {
	g := &s.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.joined, !g.solo
}

// watch goes solo when the peer is silent, and ends it when the peer keeps up under load, when no confirmation ever
// meets the very end.
func (g *gate) watch() {
	step := max(g.s.cfg.AckTimeout/16, time.Millisecond)
	tick := time.NewTicker(step)
	defer tick.Stop()
	for {
		select {
		case <-g.s.stop:
			return
		case <-tick.C:
			g.step(time.Now())
		}
	}
}

func (g *gate) step(now time.Time) {
	g.mu.Lock()
	end := g.s.log.Written()
	g.dropConfirmedLocked()
	switch {
	case g.solo && len(g.linked) > 0:
		// What was there less than AckTimeout ago is confirmed: the peer keeps up.
		if g.probe.seq != 0 && g.confirmed >= g.probe.seq {
			g.endSoloLocked()
		} else if g.probe.seq == 0 || now.Sub(g.probe.at) >= g.s.cfg.AckTimeout {
			g.probe = sample{now, end}
		}
	case !g.solo && len(g.samples) > 0 && now.Sub(g.samples[0].at) >= g.s.cfg.AckTimeout:
		g.goSoloLocked(fmt.Sprintf("peer did not confirm a write within %v", g.s.cfg.AckTimeout))
	}
	if !g.solo && end > g.confirmed && (len(g.samples) == 0 || g.samples[len(g.samples)-1].seq < end) {
		g.samples = append(g.samples, sample{now, end})
	}
	rose := g.updateLocked()
	g.mu.Unlock()
	if rose {
		g.tell()
	}
}

// Acknowledgement describes the gate for the status document.
type Acknowledgement struct {
	Mode        string  `json:"mode"`                  // local or peer
	Solo        bool    `json:"solo"`                  // peer: writes are acknowledged without it now
	SoloReason  string  `json:"solo_reason,omitempty"` // why; empty while not solo
	SoloSeconds float64 `json:"solo_seconds"`          // in all since the start
	Passed      uint64  `json:"passed"`                // position that replies may refer to
	Confirmed   uint64  `json:"confirmed"`             // position that the linked peer has applied
}

// Acknowledgement returns the present state of the gate.
func (s *Store) Acknowledgement() Acknowledgement {
	g := &s.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	a := Acknowledgement{Mode: "local", Passed: g.passed.Load(), Confirmed: g.confirmed}
	if s.cfg.AckPeer {
		a.Mode, a.Solo = "peer", g.solo
		total := g.soloTime
		if g.solo {
			a.SoloReason = g.soloWhy
			total += time.Since(g.soloSince)
		}
		a.SoloSeconds = total.Seconds()
	}
	return a
}
