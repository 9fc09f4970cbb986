package futago

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/futago/futago/internal/memcache"
)

// connect opens a connection, puts TLS on it and authenticates, as far as the configuration says so. The context must
// bound it.
func (s *server) connect(ctx context.Context) (*conn, error) {
	nc, err := s.client.cfg.Dial(ctx, s.at.network, s.at.dial)
	if err != nil {
		return nil, err
	}
	if s.client.cfg.TLS != nil {
		secured := tls.Client(nc, s.tlsConfig())
		if err := secured.HandshakeContext(ctx); err != nil {
			nc.Close()
			return nil, fmt.Errorf("begin TLS: %w", err)
		}
		nc = secured
	}
	c := newConn(nc, s.Timeout, s.client.cfg.MaxValue)
	if s.client.cfg.User == "" {
		return c, nil
	}
	clean, _, err := c.exchange(ctx, s.client.cfg.login)
	if err == nil && !clean {
		err = errors.New("more than a reply came")
	}
	if err != nil {
		c.close()
		return nil, fmt.Errorf("authenticate: %w", err)
	}
	return c, nil
}

// tlsConfig is the configuration for this server: its certificate must be for the host that was dialed, unless the
// configuration names another.
func (s *server) tlsConfig() *tls.Config {
	cfg := s.client.cfg.TLS.Clone()
	if cfg.ServerName == "" && s.at.network == "tcp" {
		cfg.ServerName, _, _ = net.SplitHostPort(s.at.dial)
	}
	return cfg
}

// login authenticates where the server asks for that. It asks first whether the server does: one that does not would store
// user and password as a record.
func (c Config) login(to *conn) (answer, err error) {
	var version string
	_, err = versionRequest(&version).run(to)
	if !unauthenticated(err) {
		return nil, err
	}
	if err := to.write(memcache.AppendAuthRequest(to.out, c.User, c.Password), nil); err != nil {
		return nil, err
	}
	status, err := to.replies.ReadStatus()
	var reply *memcache.ErrorReply
	switch {
	case errors.As(err, &reply) && strings.HasPrefix(reply.Line, "CLIENT_ERROR"):
		return nil, fmt.Errorf("%w: the server answered %w", ErrAuth, reply)
	case err == nil && status != memcache.StatusStored:
		return nil, &memcache.SyntaxError{Reason: "status of another command", Line: status.String()}
	}
	return nil, err
}

// unauthenticated reports whether an error is the demand to authenticate.
func unauthenticated(err error) bool {
	var reply *memcache.ErrorReply
	return errors.As(err, &reply) && reply.Line+"\r\n" == memcache.ReplyUnauthenticated
}
