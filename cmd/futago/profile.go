package main

import "github.com/futago/futago/internal/profile"

// addProfileSettings puts pprof and what it records into a table, behind admin-listen.
func addProfileSettings(s *settings, c *profile.Config) {
	s.add("pprof", boolValue(&c.On), "serve profiles of this process below /debug/pprof/ at --admin-listen, for go tool pprof")
	s.add("pprof-block-rate", durationValue(&c.BlockRate), "record one wait in so much time of waiting for the block profile; 0 is none")
	s.add("pprof-mutex-fraction", intValue(&c.MutexFraction), "record one of so many contended locks for the mutex profile; 0 is none")
}
