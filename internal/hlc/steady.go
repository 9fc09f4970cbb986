package hlc

import (
	"sync/atomic"
	"time"
)

// Steady is a wall clock that does not jump: it goes on with the machine's monotonic clock, and follows the wall clock only
// in steps that are no larger than a bound. A larger one is held back until somebody agrees with it.
type Steady struct {
	bound   time.Duration
	wall    func() time.Time
	elapsed func() time.Duration // since base, by the monotonic clock
	base    time.Time
	shift   atomic.Int64 // nanoseconds to add
}

// NewSteady returns a clock that agrees with the wall now.
func NewSteady(bound time.Duration) *Steady {
	start := time.Now()
	return &Steady{
		bound: bound, base: start.Round(0),
		wall:    func() time.Time { return time.Now().Round(0) },
		elapsed: func() time.Duration { return time.Since(start) },
	}
}

// Now is the steady time.
func (s *Steady) Now() time.Time {
	return s.base.Add(s.elapsed() + time.Duration(s.shift.Load()))
}

// Follow compares with the wall clock. A difference within the bound is taken over; of a larger one the steady time is kept
// and the difference returned, unless agree says that the wall is right.
func (s *Steady) Follow(agree func(wall time.Time) bool) (jump time.Duration) {
	wall := s.wall()
	jump = wall.Sub(s.Now())
	if jump.Abs() > s.bound && !agree(wall) {
		return jump
	}
	s.shift.Add(int64(jump))
	return 0
}
