package store

import "errors"

const (
	// leastSegments is in how many segments eviction still finds some to choose from.
	leastSegments = 32
	// leastMemorySegments is how many segments a log in memory has for its records, the next ones and a compaction.
	leastMemorySegments = 4
)

// ErrMemoryFixed is the refusal of SetMaxMemory where memory holds the index alone.
var ErrMemoryFixed = errors.New("max-memory bounds the index alone: it can be changed with data=none or evict only")

// MaxMemory is the bound of Memory as it is now, in bytes; 0 = none.
func (s *Store) MaxMemory() int64 { return s.maxMemory.Load() }

// LeastMemory is the smallest bound that SetMaxMemory takes, in bytes. It follows from the size of segments, which is chosen at
// the start: with less, a node could never take a write again.
func (s *Store) LeastMemory() int64 {
	if s.cfg.Evict {
		return leastSegments * s.cfg.SegmentSize
	}
	return leastMemorySegments * s.cfg.SegmentSize
}

// SetMaxMemory changes the bound until the store is closed. It returns at once: with Config.Evict records then go until
// they fit, else writes are refused until enough was deleted. n must not be less than LeastMemory.
func (s *Store) SetMaxMemory(n int64) error {
	if !s.cfg.InMemory && !s.cfg.Evict {
		return ErrMemoryFixed
	}
	if n < s.LeastMemory() {
		panic("store: max-memory below LeastMemory")
	}
	s.logger.Info("memory bound is changed", "bytes", n, "before", s.maxMemory.Swap(n))
	s.judge()
	return nil
}
