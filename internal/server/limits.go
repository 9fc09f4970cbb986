package server

import "time"

// Limits are what a running server takes other values of. Config says what they mean.
type Limits struct {
	MaxConns                                      int
	FirstByteTimeout, IdleTimeout, RequestTimeout time.Duration
}

// SetLimits puts other limits in force, which must be in the bounds that New demands. Who is connected already stays. What a
// goroutine waits for at this moment, and HTTP connections whose requests net/http serves, keep the times that they began with.
func (s *Server) SetLimits(l Limits) {
	if old := s.limits.Swap(&l); old == nil || old.MaxConns != l.MaxConns {
		s.maxConns.Store(int64(fitDescriptors(l.MaxConns, s.logger)))
	}
}
