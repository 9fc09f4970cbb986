package server

import "sync"

// pulse is how far the network loops had come when Pulse looked last.
type pulse struct {
	mu   sync.Mutex
	seen []uint64
}

// Pulse reports whether every network loop has gone on since the last call. An idle one does each second, so calls must be further
// apart than that.
func (s *Server) Pulse() bool {
	p := &s.pulse
	p.mu.Lock()
	defer p.mu.Unlock()
	first := p.seen == nil
	if first {
		p.seen = make([]uint64, len(s.loops))
	}
	alive := true
	for i, l := range s.loops {
		rounds := l.rounds.Load()
		stands := rounds == p.seen[i] && !first
		p.seen[i] = rounds
		select {
		case <-l.done:
		default:
			alive = alive && !stands
		}
	}
	return alive
}
