package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/futago/futago/internal/memcache"
)

const replyNoTLS = "Error TLS not enabled\r\n"

// TLSFiles are PEM files for the listeners that want TLS.
type TLSFiles struct {
	// Cert is the certificate with its chain, Key its key.
	Cert, Key string
	// ClientCA are the authorities that may have signed the certificates of clients; "" where no listener wants one.
	ClientCA string
}

// TLS holds the certificates in force. It may be used by several goroutines at once.
type TLS struct {
	files  TLSFiles
	logger *slog.Logger
	loaded atomic.Pointer[certificates]
}

// certificates are what the files held when they were read.
type certificates struct {
	server, mutual *tls.Config // mutual is nil without authorities
	at             time.Time
	notAfter       time.Time
}

// OpenTLS reads the files. The error says which of them is wrong.
func OpenTLS(files TLSFiles, logger *slog.Logger) (*TLS, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	t := &TLS{files: files, logger: logger}
	return t, t.load()
}

// Reload reads the files again, for the connections to come. On an error the certificates stay what they were.
func (t *TLS) Reload() error {
	if err := t.load(); err != nil {
		return err
	}
	t.logger.Info("certificates were read again", "file", t.files.Cert, "until", t.loaded.Load().notAfter)
	return nil
}

func (t *TLS) load() error {
	pair, err := tls.LoadX509KeyPair(t.files.Cert, t.files.Key)
	if err != nil {
		return fmt.Errorf("read certificate %s and key %s: %w: want two PEM files, the certificate with its chain and the key that belongs to it",
			t.files.Cert, t.files.Key, err)
	}
	c := &certificates{at: time.Now(), notAfter: pair.Leaf.NotAfter}
	c.server = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if t.files.ClientCA != "" {
		text, err := os.ReadFile(t.files.ClientCA)
		if err != nil {
			return fmt.Errorf("read authorities of clients: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return fmt.Errorf("read authorities of clients: %s holds no certificate in PEM form", t.files.ClientCA)
		}
		c.mutual = c.server.Clone()
		c.mutual.ClientCAs, c.mutual.ClientAuth = pool, tls.RequireAndVerifyClientCert
	}
	if now := time.Now(); now.After(c.notAfter) || now.Before(pair.Leaf.NotBefore) {
		t.logger.Warn("the certificate is not valid now: clients will refuse it", "file", t.files.Cert, "from", pair.Leaf.NotBefore, "until", c.notAfter)
	}
	t.loaded.Store(c)
	return nil
}

// config returns what a new connection needs.
func (t *TLS) config(mode TLSMode) *tls.Config {
	c := t.loaded.Load()
	if mode == MutualTLS {
		return c.mutual
	}
	return c.server
}

// checkTLS says which listener lacks certificates.
func (c *Config) checkTLS() error {
	for _, l := range c.Listen {
		switch {
		case l.TLS != NoTLS && c.TLS == nil:
			return fmt.Errorf("listen %s: tls needs a certificate and a key", l)
		case l.TLS == MutualTLS && c.TLS.files.ClientCA == "":
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
	c := tls.Server(raw, srv.cfg.TLS.config(st.peer.tls))
	st.in = st.in[:0]
	st.mu.Lock()
	if !st.draining {
		_ = st.SetDeadline(time.Now().Add(srv.cfg.FirstByteTimeout))
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
	s.slow = func(context.Context) func(*session, *worker) {
		err := t.Reload()
		if err != nil {
			t.logger.Error("certificates stay what they were", "err", err)
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
	l.num("time_since_server_cert_refresh", uint64(time.Since(s.cfg.TLS.loaded.Load().at)/time.Second))
}
