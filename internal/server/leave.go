package server

import (
	"context"
	"time"
)

// SendAway closes the connections of all clients between their requests, as Shutdown does, and suspends the server when none is left,
// or when ctx ends. The listeners stay: who comes then is sent away, until Resume.
func (s *Server) SendAway(ctx context.Context) {
	s.leaving.Store(true)
	defer s.leaving.Store(false)
	s.web.SetKeepAlivesEnabled(false)
	for _, l := range s.loops {
		l.wake()
	}
	s.streams.drain()
	tick := time.NewTicker(drainGrace)
	defer tick.Stop()
	for s.conns.Load() > 0 && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	s.Suspend()
}

// Resume serves clients again.
func (s *Server) Resume() {
	s.web.SetKeepAlivesEnabled(true)
	s.suspended.Store(false)
}

// lettingGo reports whether connections are closed as soon as they wait for nothing.
func (s *Server) lettingGo() bool { return s.draining.Load() || s.leaving.Load() }
