//go:build !linux

package server

// loop exists on Linux only; elsewhere the goroutine carrier serves everything.
type loop struct{ done chan struct{} }

func (s *Server) makeLoops() error { return nil }
func (s *Server) closeLoops()      {}
func (l *loop) run()               {}
func (l *loop) wake()              {}
func (l *loop) adopt(int, *peer)   {}
