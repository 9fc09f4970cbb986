package server

import "golang.org/x/sys/unix"

// settle ends a round: the store gets the writes, the clients what may leave.
func (l *loop) settle() {
	l.w.flush()
	l.w.tally.publish(l.w.totals) // before the replies leave: who has one finds it counted
	l.output = 0
	for _, c := range l.touched {
		c.touched = false
		l.send(c)
	}
	l.touched = l.touched[:0]
	if len(l.held) > 0 {
		// Announced before the last look: a position that rises after that look wakes us.
		l.waiting.Store(true)
		l.w.lapped = nanos()
		l.release()
		l.w.noteLate()
	}
	if len(l.held) == 0 {
		l.waiting.Store(false)
	}
	for _, c := range l.dead {
		_ = unix.Close(c.fd)
		l.srv.closed(c.peer)
	}
	clear(l.dead)
	l.dead = l.dead[:0]
}

// settleEarly is settle within a round.
func (l *loop) settleEarly() {
	l.settle()
	l.w.lapped = nanos()
}

// release sends what the gate has passed meanwhile.
func (l *loop) release() {
	kept := l.held[:0]
	for _, c := range l.held {
		l.send(c)
		if c.waiting = c.holds(); c.waiting {
			kept = append(kept, c)
		}
	}
	clear(l.held[len(kept):])
	l.held = kept
}

// sendNow sends what the connection that is fed now has to send, value and tail in one system call, so that a large value need not be
// copied. Where that is not possible it does nothing: send, later, meets what was in the way.
func (l *loop) sendNow(value []byte, tail string) int {
	c := l.feeding
	if len(c.marks) > 0 || c.blocked {
		return 0
	}
	l.w.tally.publish(l.w.totals) // who has the reply finds it counted
	waits := c.out[c.sent:]
	n, errno := writeParts(c.fd, &l.parts, waits, value, tail)
	if errno != 0 {
		n = 0
	}
	c.blocked = n < len(waits)+len(value)+len(tail) // no further try in this feed
	l.w.totals.add(bytesWritten, n)
	before := len(c.out)
	c.advance(min(n, len(waits)))
	n = max(n-len(waits), 0)
	c.gone += before - len(c.out) + n
	return n
}

// send writes the replies that may leave and decides what to wait for.
func (l *loop) send(c *conn) {
	if c.dead {
		return
	}
	if c.decide(&l.w, c.waiting) != nil {
		l.kill(c)
		return
	}
	c.blocked = false
	if b := c.sendable(); len(b) > 0 {
		n, errno := writeFD(c.fd, b)
		switch {
		case errno == unix.EAGAIN:
			n = 0
		case errno != 0:
			l.kill(c)
			return
		}
		c.blocked = n < len(b)
		l.w.totals.add(bytesWritten, n)
		c.advance(n)
		c.taken += n
	}
	if !c.blocked {
		c.unread = 0
	} else if c.unread == 0 {
		c.unread, c.taken = l.w.now, 0
	}
	if len(c.out) == 0 && c.out != nil {
		l.buffers.give(c.out)
		c.out = nil
	}
	if c.leaving && !c.owes() {
		l.giveAway(c, c.in, l.srv.handoff)
		return
	}
	if c.ended() {
		l.kill(c)
		return
	}
	c.account(l.srv)
	if !c.waiting && c.holds() {
		l.w.totals.count(repliesHeld)
		c.waiting = true
		l.held = append(l.held, c)
	}
	if c.more && !c.stuffed(l.srv) {
		l.later(c)
	}
	events := c.wants(l.srv)
	if !c.stalled && l.srv.overfull(c.counted) {
		c.stalled = true
		l.stalled = append(l.stalled, c)
	}
	if events != c.events {
		c.events = events
		if err := l.control(unix.EPOLL_CTL_MOD, c.fd, events); err != nil {
			l.srv.logger.Warn("watch a connection", "err", err)
			l.kill(c)
		}
	}
}
