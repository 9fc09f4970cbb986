package store

import (
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/futago/futago/internal/hlc"
)

// clocks are what this node knows of other nodes' wall clocks.
type clocks struct {
	mu      sync.Mutex
	peers   map[int]peerWall
	refused hlc.Stamp // highest stamp of a peer that was refused
	jump    time.Duration
}

// peerWall is how far a peer's clock was ahead, and when it said so.
type peerWall struct {
	ahead time.Duration
	at    time.Time
}

// wallFresh is for how long what a peer said of its clock counts.
const wallFresh = 5 * time.Second

// admitMark names the note of the highest stamp that an operator admitted.
const admitMark = "admitted"

// HearWall takes the wall clock of a peer, milliseconds since hlc.Epoch.
func (s *Store) HearWall(node int, wall int64) {
	c := &s.clocks
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.peers == nil {
		c.peers = map[int]peerWall{}
	}
	c.peers[node] = peerWall{time.Duration(wall-s.clock.Now()) * time.Millisecond, time.Now()}
}

// aheadOfAll reports whether this node's clock is further than the bound ahead of that of every peer that was heard lately:
// what it stamped could not be taken by any of them.
func (s *Store) aheadOfAll() bool {
	c := &s.clocks
	c.mu.Lock()
	defer c.mu.Unlock()
	heard := false
	for _, p := range c.peers {
		if time.Since(p.at) > wallFresh {
			continue
		}
		if p.ahead >= -s.cfg.MaxClockDrift {
			return false
		}
		heard = true
	}
	return heard
}

// agrees reports whether a peer that was heard lately has about this time; alone is the answer when there is none.
func (s *Store) agrees(wall time.Time, alone bool) bool {
	c := &s.clocks
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.peers {
		if time.Since(p.at) > wallFresh {
			continue
		}
		alone = false
		theirs := s.clock.Wall().Add(p.ahead)
		if wall.Sub(theirs).Abs() <= s.cfg.MaxClockDrift {
			return true
		}
	}
	return alone
}

// patience is for how long a jump of the wall clock must last before a node that nobody contradicts takes it over.
const patience = 10 * time.Second

// followWall lets the steady clock follow the wall, and tells of a jump that is held back.
func (s *Store) followWall(since *time.Time) {
	if s.cfg.Steady == nil {
		return
	}
	jump := s.cfg.Steady.Follow(func(wall time.Time) bool {
		return s.agrees(wall, !since.IsZero() && time.Since(*since) > patience)
	})
	s.clocks.mu.Lock()
	before := s.clocks.jump
	s.clocks.jump = jump
	s.clocks.mu.Unlock()
	switch {
	case jump != 0 && before == 0:
		*since = time.Now()
		s.logger.Warn("the wall clock jumped: going on with the old time until a peer agrees", "took", jump.Round(time.Millisecond))
	case jump == 0 && before != 0:
		*since = time.Time{}
		s.logger.Info("the wall clock is followed again")
	}
}

// observe takes a foreign stamp into the clock and remembers one that it refuses.
func (s *Store) observe(st hlc.Stamp) error {
	err := s.clock.Observe(st)
	if err != nil {
		s.clocks.mu.Lock()
		s.clocks.refused = max(s.clocks.refused, st)
		s.clocks.mu.Unlock()
	}
	return err
}

// ErrNothingToAdmit is the answer of AdmitClock while no stamp is refused.
var ErrNothingToAdmit = errors.New("no stamp is refused")

// AdmitClock takes the stamps that are too far ahead of the wall: the highest that a peer sent, and what this node's own
// log holds. Its clock then runs ahead of the wall until the wall has come there; that is noted across restarts.
func (s *Store) AdmitClock() (hlc.Stamp, error) {
	s.clocks.mu.Lock()
	up := max(s.clocks.refused, s.clock.Last())
	s.clocks.mu.Unlock()
	if s.clock.Check(up) == nil {
		return 0, ErrNothingToAdmit
	}
	// What is written until the wall is there goes on from the highest stamp: allow for it.
	up = hlc.Make(up.Millis()+s.cfg.MaxClockDrift.Milliseconds(), 0, 0)
	if _, err := s.SetMark(admitMark, encodeMark(up)); err != nil {
		return 0, err
	}
	s.log.Flush()
	s.clock.Admit(up)
	s.logger.Warn("stamps ahead of the clock are taken", "until", up.Time())
	s.judge()
	return up, nil
}

func (s *Store) openAdmitted() {
	var up hlc.Stamp
	if b := s.Mark(admitMark); b != nil && json.Unmarshal(b, &up) == nil {
		s.clock.Admit(up)
	}
}

// ClockStatus is what this node knows of clocks, for the status document.
type ClockStatus struct {
	AheadSeconds    float64 `json:"ahead_seconds"`    // of the newest stamp before the wall; large after a clock was wrong
	JumpSeconds     float64 `json:"jump_seconds"`     // of the wall clock, held back until a peer agrees
	RefusedSeconds  float64 `json:"refused_seconds"`  // how far a stamp that a peer sent is too far ahead; 0: none is refused
	AdmittedSeconds float64 `json:"admitted_seconds"` // how far ahead stamps are taken by an operator's word
}

// ClockStatus reads the figures.
func (s *Store) ClockStatus() (c ClockStatus) {
	s.clocks.mu.Lock()
	refused, jump := s.clocks.refused, s.clocks.jump
	s.clocks.mu.Unlock()
	ahead := func(st hlc.Stamp) float64 { return max(float64(st.Millis()-s.clock.Now())/1000, 0) }
	c.AheadSeconds, c.JumpSeconds, c.AdmittedSeconds = ahead(s.clock.Last()), jump.Seconds(), ahead(s.clock.Admitted())
	if s.clock.Check(refused) != nil {
		c.RefusedSeconds = ahead(refused)
	}
	return c
}
