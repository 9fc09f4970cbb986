package store

import "time"

// Acknowledgement describes the gate for the status document.
type Acknowledgement struct {
	Mode        string    `json:"mode"`                  // local, peer or strict
	Solo        bool      `json:"solo"`                  // peer: writes are acknowledged without it now
	SoloReason  string    `json:"solo_reason,omitempty"` // why; empty while not solo
	SoloSince   time.Time `json:"solo_since,omitzero"`   // absent while not solo
	SoloSeconds float64   `json:"solo_seconds"`          // in all since the start
	SoloCount   int64     `json:"solo_count"`            // solo times since the start, the present one included
	Refusal     string    `json:"refusal,omitempty"`     // strict: why writes are refused now; empty while they are not
	Unconfirmed uint64    `json:"unconfirmed"`           // writes answered with effect unknown since the start
	Refused     uint64    `json:"refused"`               // writes not begun since the start, for no peer could confirm them
	Passed      uint64    `json:"passed"`                // position that replies may refer to
	Confirmed   uint64    `json:"confirmed"`             // highest position that a linked peer has applied
}

// Acknowledgement returns the present state of the gate.
func (s *Store) Acknowledgement() Acknowledgement {
	g := &s.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	a := Acknowledgement{
		Mode: g.mode.String(), Unconfirmed: g.unconfirmed.Load(), Refused: g.refused.Load(),
		Passed: g.passed.Load(), Confirmed: g.confirmedLocked(),
	}
	if err := g.refuses(DefaultLevel); err != nil {
		a.Refusal = err.Error()
	}
	if g.mode != LevelPeer {
		return a
	}
	a.Solo, a.SoloCount = g.solo, g.soloCount
	total := g.soloTime
	if g.solo {
		a.SoloReason, a.SoloSince = g.soloWhy, g.soloSince
		total += time.Since(g.soloSince)
	}
	a.SoloSeconds = total.Seconds()
	return a
}

// Unconfirmed tells that n writes were answered with ErrUnconfirmed.
func (s *Store) Unconfirmed(n int) { s.gate.unconfirmed.Add(uint64(n)) }
