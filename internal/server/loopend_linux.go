package server

import "golang.org/x/sys/unix"

// tick looks at the timeouts, once a second: a timer for each connection would cost more than it is worth.
func (l *loop) tick() {
	limits := l.srv.limits.Load()
	for _, c := range l.byFD {
		if c == nil {
			continue
		}
		switch {
		case c.away:
		case c.proto == undecided:
			if l.w.now-c.last >= limits.FirstByteTimeout.Milliseconds() {
				l.expire(c, firstByteTimeouts)
			}
		case c.since != 0 && l.w.now-c.since >= limits.RequestTimeout.Milliseconds():
			if c.arrived < minProgress {
				l.expire(c, requestTimeouts)
				continue
			}
			c.since, c.arrived = l.w.now, 0
		case c.unread != 0 && l.w.now-c.unread >= limits.RequestTimeout.Milliseconds():
			if c.taken < minProgress {
				l.expire(c, requestTimeouts)
				continue
			}
			c.unread, c.taken = l.w.now, 0
		case l.srv.idle(c.proto) > 0 && l.w.now-c.last >= l.srv.idle(c.proto).Milliseconds():
			l.expire(c, idleKicks)
		}
	}
	l.settle()
}

func (l *loop) expire(c *conn, why counter) {
	l.w.totals.count(why)
	l.kill(c)
}

// drained closes the connections that wait for nothing; true when none is left.
func (l *loop) drained() bool {
	for _, c := range l.byFD {
		if c != nil && len(c.in) == 0 && !c.owes() && !c.more && !c.away {
			l.kill(c)
		}
	}
	l.settle()
	return l.count == 0
}

// pauseMillis is how long a loop must not have run before it asks whether the process stood still.
const pauseMillis = 100

// isSuspended reports whether the clients are to be sent away. before is when the last round was.
func (l *loop) isSuspended(before int64) bool {
	if pause := l.w.now - before; pause < 0 || pause >= pauseMillis {
		return l.srv.sendsAway()
	}
	return l.srv.suspended.Load()
}

// sendAllAway closes every connection, also those that have just come.
func (l *loop) sendAllAway() {
	l.woken()
	for range 2 {
		for _, c := range l.byFD {
			if c != nil {
				l.kill(c)
			}
		}
		l.takeInbox()
	}
	l.settle()
}

// closeAll ends every connection and takes no more.
func (l *loop) closeAll() {
	l.inMu.Lock()
	l.over = true
	l.inMu.Unlock()
	l.takeInbox()
	for _, c := range l.byFD {
		if c != nil {
			l.kill(c)
		}
	}
	l.settle()
}

// forget takes a connection out of the loop and leaves its descriptor open.
func (l *loop) forget(c *conn) {
	_ = l.control(unix.EPOLL_CTL_DEL, c.fd, 0)
	l.byFD[c.fd] = nil
	l.count--
	c.dead = true
	l.buffers.give(c.in)
	l.buffers.give(c.out)
	c.in, c.out, c.keys, c.marks, c.dump = nil, nil, nil, nil, nil
	c.account(l.srv)
}

// kill closes a connection at the end of the round, so that its descriptor cannot name another one before.
func (l *loop) kill(c *conn) {
	if c.dead {
		return
	}
	l.forget(c)
	l.dead = append(l.dead, c)
}
