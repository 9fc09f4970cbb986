//go:build !linux

package server

import "sync/atomic"

// loop exists on Linux only; elsewhere the goroutine carrier serves everything.
type loop struct {
	done   chan struct{}
	rounds atomic.Uint64
}

func (s *Server) makeLoops() error { return nil }
func (s *Server) closeLoops()      {}
func (l *loop) run()               {}
func (l *loop) wake()              {}
func (l *loop) adopt(int, *peer)   {}
