package rediscluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/futago/futago/internal/store"
)

const (
	// mostValue is what a string of Redis can hold, less room for the header.
	mostValue = 512<<20 - 1024
	// maxRedirects is how often one command follows MOVED and ASK.
	maxRedirects = 8
	// topologyInterval is how often the cluster is asked for its nodes when nothing fails.
	topologyInterval = 10 * time.Second
	// connectPause lies between two attempts to reach a cluster that has not answered yet.
	connectPause = 500 * time.Millisecond
)

// newClient connects to the nodes.
func (s *Store) newClient() (valkey.Client, error) {
	cfg := &s.cfg
	option := valkey.ClientOption{
		InitAddress: cfg.Addrs,
		Dialer:      net.Dialer{Timeout: min(cfg.Timeout, time.Second), KeepAlive: time.Second},
		DialCtxFn:   s.dial,
		// Both are asked for with each connection: a reload may have changed them.
		AuthCredentialsFn: func(valkey.AuthCredentialsContext) (valkey.AuthCredentials, error) {
			return valkey.AuthCredentials{Username: cfg.User, Password: cfg.Password.Text()}, nil
		},
		ConnWriteTimeout: cfg.Timeout,
		DisableRetry:     true, // what may be repeated is decided here
		DisableCache:     true,
		// Of commands that are sent together, each has its own answer when the connection breaks.
		AlwaysPipelining: true,
		// A redirect storm must end before the deadline does.
		ClusterOption: valkey.ClusterOption{MaxMovedRedirections: maxRedirects, ShardsRefreshInterval: topologyInterval},
	}
	if cfg.TLS != nil {
		option.TLSConfig = cfg.TLS.Config("") // it says which ports of the nodes count
	}
	return valkey.NewClient(option)
}

// connect makes the store usable.
func (s *Store) connect(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			s.why.Store(&err)
		}
	}()
	client, err := s.newClient()
	if err != nil {
		return fmt.Errorf("redis-cluster: connect to %v: %w", s.cfg.Addrs, named(err))
	}
	s.client = newBounded(client) // nobody else looks before connected is closed
	if err := s.checkCluster(ctx); err != nil {
		client.Close()
		return err
	}
	if err := s.floors.renew(ctx, s); err != nil {
		client.Close()
		return fmt.Errorf("redis-cluster: read what flush_all left: %w", err)
	}
	close(s.connected)
	s.work.Go(func() { s.floors.keep(s) })
	return nil
}

// named gives the error that comes of an answer in another protocol its meaning: the client has only text for it.
func named(err error) error {
	if strings.Contains(err.Error(), "received unknown message type") {
		return fmt.Errorf("no Redis or Valkey answers there, but something else: name the ports of the cluster's nodes: %w", err)
	}
	return err
}

// checkCluster refuses a single server: its client would not follow a failover.
func (s *Store) checkCluster(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	masters, err := s.ask(ctx)
	if err != nil {
		return fmt.Errorf("redis-cluster: ask %v for its nodes: %w", s.cfg.Addrs, named(err))
	}
	if len(masters.list) == 0 {
		return fmt.Errorf("redis-cluster: %v: no master has slots: set up the cluster first (redis-cli --cluster create)", s.cfg.Addrs)
	}
	return nil
}

// keepConnecting tries until it succeeds, or the store is closed.
func (s *Store) keepConnecting() {
	said := ""
	for s.ctx.Err() == nil {
		s.rest(connectPause)
		err := s.connect(s.ctx)
		if err == nil {
			s.logger.Info("the cluster answers", "cluster", s.cfg.Addrs)
			return
		}
		if text := err.Error(); final(err) && text != said {
			s.logger.Error("the cluster refuses this front: it is asked again, but the settings are wrong", "err", err)
			said = text
		}
	}
}

// unconnected says why the cluster has not been reached since the start, as store.ErrUnreached; nil: it has.
func (s *Store) unconnected() error {
	if why := s.whyUnconnected(); why != nil {
		return fmt.Errorf("%w: %w", store.ErrUnreached, why)
	}
	return nil
}

// whyUnconnected is unconnected in words for operators.
func (s *Store) whyUnconnected() error {
	select {
	case <-s.connected:
		return nil
	default:
	}
	if why := s.why.Load(); why != nil {
		return fmt.Errorf("not since the start: %w", *why)
	}
	return errors.New("not since the start")
}

// refusals are the beginnings of answers that do not change by asking again.
var refusals = []string{
	"WRONGPASS", "NOAUTH", "NOPERM", "ERR AUTH", "ERR invalid password", "ERR Client sent AUTH", "ERR This instance has cluster support disabled",
}

// final reports whether an error is an answer that will be the same when it is asked again: the settings are wrong.
func final(err error) bool {
	if answer, ok := errors.AsType[*valkey.ValkeyError](err); ok {
		for _, begin := range refusals {
			if strings.HasPrefix(answer.Error(), begin) || strings.HasPrefix("ERR "+answer.Error(), begin) {
				return true
			}
		}
	}
	_, wrong := errors.AsType[*tls.CertificateVerificationError](err)
	return wrong
}
