package server

import (
	"errors"
	"net"
	"time"

	"github.com/futago/futago/internal/memcache"
)

// acceptPause is the wait after an accept that failed, which is mostly for want of descriptors.
const acceptPause = 50 * time.Millisecond

// accept takes connections until the listener is closed, and hands them to the loops round robin.
func (s *Server) accept(l *listener, first int) {
	for next := first; ; next++ {
		c, err := l.source.accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || s.draining.Load() {
				return
			}
			s.logger.Warn("accept a connection", "listen", l.label, "err", err)
			select {
			case <-time.After(acceptPause):
				continue
			case <-s.ctx.Done():
				return
			}
		}
		if s.conns.Add(1) > s.maxConns.Load() {
			s.conns.Add(-1)
			s.totals[0].count(connsRejected)
			c.refuse(memcache.ReplyTooManyConns)
			continue
		}
		s.totals[0].count(connsAccepted)
		p := s.peers.add(c.remote, l, s.store.Now())
		if c.conn != nil {
			s.streams.start(s, c.conn, nil, p)
			continue
		}
		s.loops[next%len(s.loops)].adopt(c.fd, p)
	}
}

// accepted is a new connection: a descriptor for the loops, or a net.Conn for a goroutine.
type accepted struct {
	conn   net.Conn
	fd     int
	remote string
}

// netAcceptor accepts for goroutines.
type netAcceptor struct{ net.Listener }

func (a netAcceptor) close() { a.Close() }

func (a netAcceptor) accept() (accepted, error) {
	c, err := a.Accept()
	if err != nil {
		return accepted{}, err
	}
	return accepted{conn: c, fd: -1, remote: addrLabel(c.RemoteAddr())}, nil
}
