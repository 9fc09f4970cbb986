package store

import (
	"encoding/json"
	"time"

	"github.com/futago/futago/internal/hlc"
)

// The log is kept, within Config.LogRetain, for readers that are no peers as well: one that goes through it now, and one that
// comes back later. Where the log takes memory, or makes room for what is read, it is not.

// Reading keeps the log for a reader, from its creation by KeepForReader until End.
type Reading struct {
	s   *Store
	seq uint64 // under retained.mu
}

// KeepForReader keeps what lies behind seq.
func (s *Store) KeepForReader(seq uint64) *Reading {
	r := &Reading{s, seq}
	s.retained.mu.Lock()
	defer s.retained.mu.Unlock()
	if s.retained.readings == nil {
		s.retained.readings = map[*Reading]struct{}{}
	}
	s.retained.readings[r] = struct{}{}
	return r
}

// Passed tells how far the reader is: what lies before is kept no longer.
func (r *Reading) Passed(seq uint64) {
	r.s.retained.mu.Lock()
	defer r.s.retained.mu.Unlock()
	r.seq = max(r.seq, seq)
}

// End lets go of the log. It may be called twice.
func (r *Reading) End() {
	r.s.retained.mu.Lock()
	defer r.s.retained.mu.Unlock()
	delete(r.s.retained.readings, r)
}

// kept is the note of a place at which somebody means to go on.
type kept struct {
	Seq   uint64 `json:"seq"`
	Until int64  `json:"until"` // milliseconds since hlc.Epoch
}

const keepMarkName = "keep"

// KeepUntil keeps what lies behind seq for somebody who means to go on there before a time, across restarts too. There is one
// such place: the last call counts.
func (s *Store) KeepUntil(seq uint64, until time.Time) error {
	k := kept{seq, hlc.Millis(until)}
	if _, err := s.SetMark(keepMarkName, encodeMark(k)); err != nil {
		return err
	}
	s.log.Flush()
	s.retained.mu.Lock()
	defer s.retained.mu.Unlock()
	s.retained.kept = k
	return nil
}

// openKept reads the note of an earlier process.
func (s *Store) openKept() {
	var k kept
	if b := s.Mark(keepMarkName); b != nil && json.Unmarshal(b, &k) == nil {
		s.retained.kept = k
	}
}

// readersPointLocked lowers point to what readers need.
func (r *retention) readersPointLocked(point uint64, now int64) uint64 {
	for reading := range r.readings {
		point = min(point, reading.seq)
	}
	if r.kept.Until > now {
		point = min(point, r.kept.Seq)
	}
	return point
}
