package server

// returned is a connection whose slow part has run.
type returned struct {
	c    *conn
	rest func(*session, *worker)
}

// sendAway runs the slow part of a session in a goroutine. The connection is not read until it comes back.
func (l *loop) sendAway(c *conn) {
	job := c.slow
	c.slow, c.away = nil, true
	l.srv.serving.Go(func() {
		rest := job(l.srv.ctx)
		l.inMu.Lock()
		defer l.inMu.Unlock()
		if !l.over { // or there is no loop to wake
			l.back = append(l.back, returned{c, rest})
			l.wake()
		}
	})
}

// comeBack goes on with sessions whose slow part has run.
func (l *loop) comeBack(back []returned) {
	for _, r := range back {
		c := r.c
		c.away = false
		if c.dead {
			continue
		}
		if cap(c.out) == 0 {
			c.out = l.buffers.take(0)
		}
		c.last = l.w.now
		before := len(c.out)
		r.rest(&c.session, &l.w)
		l.output += len(c.out) - before
		if c.dump != nil && c.unsent() > 0 && l.srv.overfull(c.counted) { // many lists that nobody reads would hold too much
			c.more = true
			l.touch(c)
			continue
		}
		l.execute(c, c.in, true)
	}
}
