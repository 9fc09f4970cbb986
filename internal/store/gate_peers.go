package store

import (
	"errors"
	"fmt"
	"time"
)

// follower is a peer that follows this log now.
type follower struct {
	confirmed uint64 // highest position that it has applied, of its present link; 0 while behind
	behind    bool   // it takes a snapshot: what it has applied says nothing about what lies before
	probe     sample // end of the log at some step of the present link and solo time; seq 0: none is taken
}

// sample says that the log ended at seq at a time.
type sample struct {
	at  time.Time
	seq uint64
}

// ends are past ends of the log, oldest first, that no peer had confirmed when they were taken.
type ends []sample

// add takes the present end, unless the last one is the same.
func (e *ends) add(now time.Time, end uint64) {
	if n := len(*e); n == 0 || (*e)[n-1].seq < end {
		*e = append(*e, sample{now, end})
	}
}

// confirm drops the ends up to seq.
func (e *ends) confirm(seq uint64) {
	for len(*e) > 0 && (*e)[0].seq <= seq {
		*e = (*e)[1:]
	}
}

// overdue drops the ends that were taken up to a time and returns the last of them, 0 for none.
func (e *ends) overdue(until time.Time) (seq uint64) {
	for len(*e) > 0 && !(*e)[0].at.After(until) {
		seq = (*e)[0].seq
		*e = (*e)[1:]
	}
	return seq
}

// confirmedLocked is the highest position that a peer has applied.
func (g *gate) confirmedLocked() (seq uint64) {
	for _, f := range g.followers {
		seq = max(seq, f.confirmed)
	}
	return seq
}

// applied is the position that a peer has applied, of its present link; 0 without one.
func (g *gate) applied(node int) uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f := g.followers[node]; f != nil {
		return f.confirmed
	}
	return 0
}

// followedByLower reports whether a node with a lower id follows this one and lacks nothing.
func (g *gate) followedByLower(id int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for node, f := range g.followers {
		if node < id && !f.behind {
			return true
		}
	}
	return false
}

// countLocked notes whether a peer is left that can confirm, after the set of followers changed.
func (g *gate) countLocked() {
	was, is, why := g.within.Load(), false, "link to the peer is closed"
	for _, f := range g.followers {
		if f.behind {
			why = "peer takes a snapshot"
		} else {
			is = true
		}
	}
	g.within.Store(is)
	switch {
	case !is:
		g.goSoloLocked(why)
	case !g.watching:
		g.watching = true
		g.s.workers.Go(g.watch)
	}
	if was && !is && g.mode == LevelStrict {
		g.s.logger.Warn("writes are refused: no peer can confirm them", "err", errors.New(why))
	}
}

// Linked tells that a peer follows this log now, or no longer does.
func (s *Store) Linked(peer int, up bool) {
	g := &s.gate
	g.change(func() {
		switch f := g.followers[peer]; {
		case !up:
			delete(g.followers, peer)
		case f == nil:
			g.followers[peer] = &follower{}
		default: // a new link before the end of the old one was seen: the peer may have lost what it confirmed before
			f.confirmed, f.probe = 0, sample{}
		}
		g.countLocked()
	})
}

// Behind tells, before Linked, that a peer gets a snapshot: a position that it confirms says nothing about the entries
// before the snapshot's start, so none may be passed on to Confirm before it holds the whole. Until then the peer does not
// count; with no other one linked, writes go solo.
func (s *Store) Behind(peer int) {
	g := &s.gate
	g.change(func() {
		g.followers[peer] = &follower{behind: true}
		g.countLocked()
	})
}

// Confirm tells that a linked peer has applied this log up to seq, and lacks nothing before.
func (s *Store) Confirm(peer int, seq uint64) {
	g := &s.gate
	g.change(func() {
		f := g.followers[peer]
		if f == nil {
			return
		}
		f.confirmed = max(f.confirmed, seq)
		if f.behind {
			f.behind = false
			g.countLocked()
		}
		g.dropConfirmedLocked()
		if g.solo && seq >= s.log.Written() {
			g.endSoloLocked()
		}
	})
}

func (g *gate) dropConfirmedLocked() {
	seq := g.confirmedLocked()
	g.awaited.confirm(seq)
	g.owed.confirm(seq)
}

func (g *gate) goSoloLocked(why string) {
	if g.solo {
		return
	}
	g.solo, g.soloSince, g.soloWhy = true, time.Now(), why
	g.soloCount++
	for _, f := range g.followers {
		f.probe = sample{}
	}
	switch {
	case g.mode == LevelPeer:
		g.s.logger.Warn("solo: writes are acknowledged without the peer", "err", errors.New(why))
	case g.mode == LevelStrict && g.within.Load():
		g.s.logger.Warn("writes fail: no peer confirms them", "err", errors.New(why))
	}
}

func (g *gate) endSoloLocked() {
	g.solo, g.joined = false, g.s.log.Written()
	took := time.Since(g.soloSince)
	g.soloTime += took
	g.awaited = nil
	switch g.mode {
	case LevelPeer:
		g.s.logger.Info("solo ended: writes are acknowledged by the peer", "took", took.Round(time.Millisecond))
	case LevelStrict:
		g.s.logger.Info("writes are confirmed by a peer")
	}
}

// Joined returns the position from which on nothing is acknowledged by this node alone. ok is false while this node is
// solo. Where acknowledgements never wait for a peer the position is 0.
//
// Of two nodes the other one, having applied the log up to it, misses nothing that a client was told, now or later on this
// link. Of more, each acknowledged write is at some peer, not at every one: a follower that has applied the log up to the
// end that it had when its link came up, and up to here, holds what was acknowledged before; later ones it may miss for as
// long as it lags.
func (s *Store) Joined() (seq uint64, ok bool) {
	g := &s.gate
	if g.mode == LevelLocal {
		return 0, true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.joined, !g.solo
}

// watch goes solo when every peer is silent, ends it when one keeps up under load, when no confirmation ever meets the very
// end, and lets writes fail that none has confirmed in time. It runs from the first link on.
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
	g.change(func() {
		end, until := g.s.log.Written(), now.Add(-g.s.cfg.AckTimeout)
		g.dropConfirmedLocked()
		if g.solo {
			if g.keepsUpLocked(now, end) {
				g.endSoloLocked()
			}
		} else if g.awaited.overdue(until) != 0 {
			g.goSoloLocked(fmt.Sprintf("peer did not confirm a write within %v", g.s.cfg.AckTimeout))
		}
		g.overdue = max(g.overdue, g.owed.overdue(until))
		if end <= g.confirmedLocked() {
			return
		}
		if !g.solo {
			g.awaited.add(now, end)
		}
		if g.within.Load() {
			g.owed.add(now, end)
		}
	})
}

// keepsUpLocked reports whether a peer has confirmed on its present link what was there less than AckTimeout ago.
func (g *gate) keepsUpLocked(now time.Time, end uint64) bool {
	for _, f := range g.followers {
		if f.behind {
			continue
		}
		if f.probe.seq != 0 && f.confirmed >= f.probe.seq {
			return true
		}
		if f.probe.seq == 0 || now.Sub(f.probe.at) >= g.s.cfg.AckTimeout {
			f.probe = sample{now, end}
		}
	}
	return false
}
