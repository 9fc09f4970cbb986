package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/futago/futago/internal/memcache"
)

const replyNoTLS = "Error TLS not enabled\r\n"

// checkTLS says which listener lacks certificates.
func (c *Config) checkTLS() error {
	for _, l := range c.Listen {
		switch {
		case l.TLS != NoTLS && c.TLS == nil:
			return fmt.Errorf("listen %s: tls needs a certificate and a key", l)
		case l.TLS == MutualTLS && !c.TLS.HasClientCA():
			return fmt.Errorf("listen %s: tls=mutual needs the authorities of clients", l)
		}
	}
	return nil
}

// secure serves a connection, of which first was read already and begins TLS, in a goroutine.
func (s *Server) secure(c net.Conn, first []byte, p *peer) { s.streams.start(s, c, first, p) }

// handshake puts TLS on the connection, which begins with what was read of it. It must end within FirstByteTimeout.
func (st *stream) handshake() bool {
	srv := st.srv
	raw := &reread{Conn: st.Conn, first: append([]byte(nil), st.in...)}
	c := tls.Server(raw, srv.cfg.TLS.Config(st.peer.tls == MutualTLS))
	st.in = st.in[:0]
	st.mu.Lock()
	if !st.draining {
		_ = st.SetDeadline(time.Now().Add(srv.limits.Load().FirstByteTimeout))
	}
	st.Conn = c
	st.mu.Unlock()
	if err := c.HandshakeContext(srv.ctx); err != nil {
		srv.totals[0].count(tlsErrors)
		srv.logger.Debug("begin TLS", "remote", st.peer.remote, "err", err)
		return false
	}
	if c.ConnectionState().DidResume {
		srv.totals[0].count(tlsResumed)
	} else {
		srv.totals[0].count(tlsOpened)
	}
	return true
}

// reread is a connection whose first bytes come again.
type reread struct {
	net.Conn
	first []byte // not read yet
}

func (c *reread) Read(b []byte) (int, error) {
	if len(c.first) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.first)
	c.first = c.first[n:]
	return n, nil
}

// refreshCerts answers the command.
func (s *session) refreshCerts(w *worker) bool {
	t := w.srv.cfg.TLS
	if t == nil {
		s.out = append(s.out, replyNoTLS...)
		return true
	}
	srv, what := w.srv, s.action(w)
	s.slow = func(context.Context) func(*session, *worker) {
		err := t.Reload()
		srv.audit.note(what, err)
		if err != nil {
			srv.logger.Error("certificates stay what they were", "err", err)
		}
		return func(s *session, _ *worker) {
			if err != nil {
				s.out = append(s.out, "SERVER_ERROR the certificates cannot be read: see the log\r\n"...)
				return
			}
			s.out = append(s.out, memcache.ReplyOK...)
		}
	}
	return false
}

// tlsStats follows memcached, which shows these only with TLS.
func (s *Server) tlsStats(l *statList, n tally) {
	if s.cfg.TLS == nil {
		return
	}
	l.num("ssl_handshake_errors", n[tlsErrors])
	l.num("ssl_new_sessions", n[tlsOpened])
	at, _ := s.cfg.TLS.Read()
	l.num("time_since_server_cert_refresh", uint64(time.Since(at)/time.Second))
}
