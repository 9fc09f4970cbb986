package store

// Limits are what a running store takes other values of. Config says what they mean.
type Limits struct{ MinFree, LogRetain, CompactRate int64 }

// SetLimits puts other limits in force, from the next look at the disk and the next step of compaction on.
func (s *Store) SetLimits(l Limits) { s.limits.Store(&l) }
