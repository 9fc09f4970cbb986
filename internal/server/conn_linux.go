package server

import "golang.org/x/sys/unix"

// conn is one connection of a loop. Only the loop touches it. An idle one owns no buffer.
type conn struct {
	session
	fd     int
	events uint32 // what epoll watches
	in     []byte // a request that is not whole, or waits for room in out

	touched bool // in loop.touched
	waiting bool // in loop.held
	resumes bool // in loop.resume
	stalled bool // in loop.stalled
	eof     bool // the client will send no more
	dead    bool // to be closed at the end of the round

	last    int64 // ms, of the last bytes
	since   int64 // ms, when the window for the partial request began; 0 = there is none
	arrived int   // bytes of that window
	unread  int64 // ms, when the window for output that the client does not take began; 0 = there is none
	taken   int   // bytes of that window
	counted int64 // in Server.pending
}

// ended reports whether nothing is left to do but closing.
func (c *conn) ended() bool {
	return (c.closing || c.eof && !c.more && !c.away) && !c.owes()
}

// holds reports whether replies wait for the gate.
func (c *conn) holds() bool { return !c.dead && len(c.marks) > 0 && c.owes() }

// readRoom returns the rest of the private buffer, larger if need be. It doubles, up to what the request needs, so
// that memory follows the bytes that arrive and not the size that was announced.
func (c *conn) readRoom(l *loop) []byte {
	if len(c.in) == cap(c.in) {
		size := 2 * cap(c.in)
		if c.need > len(c.in) {
			size = min(size, c.need)
		}
		grown := append(l.buffers.take(size), c.in...)
		l.buffers.give(c.in)
		c.in = grown
	}
	return c.in[len(c.in):cap(c.in)]
}

// keep makes rest, which may lie at the end of c.in, the private input.
func (c *conn) keep(l *loop, rest []byte, private bool) {
	switch {
	case len(rest) == 0:
		l.buffers.give(c.in)
		c.in = nil
	case private:
		c.in = c.in[:copy(c.in, rest)]
	default:
		c.in = append(l.buffers.take(len(rest)), rest...)
	}
}

// account tells the server what this connection holds.
func (c *conn) account(s *Server) {
	held := int64(cap(c.in) + cap(c.out) + c.kept())
	if held != c.counted {
		s.pending.Add(held - c.counted)
		c.counted = held
	}
}

// wants is what epoll must watch: input while there is room for it, output after a short write.
func (c *conn) wants(s *Server) uint32 {
	var events uint32
	if c.blocked {
		events = unix.EPOLLOUT
	}
	if !c.closing && !c.eof && !c.more && !c.away && !c.leaving && !c.stuffed(s) && !s.overfull(c.counted) {
		events |= unix.EPOLLIN
	}
	return events
}
