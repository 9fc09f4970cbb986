package futago

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Client is a pool of servers. It is safe for concurrent use.
type Client struct {
	cfg  Config
	pool pool

	// ctx ends with Close; it is that of all work in the background.
	ctx        context.Context
	cancel     context.CancelFunc
	background sync.WaitGroup
}

// New returns a client for the servers of cfg. It connects to none of them; the first request does. The error
// names every problem of the configuration. The caller must call Close at the end.
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("configure client: %w", err)
	}
	selector := cfg.Selector
	if selector == nil {
		var err error
		if selector, err = newSelector(cfg); err != nil {
			return nil, fmt.Errorf("configure client: %w", err)
		}
	}
	c := &Client{cfg: cfg}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.pool = pool{selector: selector, cfg: &c.cfg}
	for _, described := range cfg.Servers {
		at, err := parseEndpoint(described.Addr)
		if err != nil {
			return nil, fmt.Errorf("configure client: %w", err)
		}
		s := &server{Server: described, client: c, at: at, kick: make(chan struct{}, 1)}
		c.pool.servers = append(c.pool.servers, s)
		if described.StartFailed {
			s.failed, s.failure = true, errStartedFailed
		}
	}
	// Probes start last: they must find the client complete.
	for _, s := range c.pool.servers {
		if s.StartFailed {
			s.mu.Lock()
			s.startProbeLocked(true)
			s.mu.Unlock()
		}
	}
	return c, nil
}

var errStartedFailed = errors.New("not tried yet")

// Close closes all unused connections and ends the work in the background; it waits for that. Requests under way
// go on; later ones return ErrClosed. Close always returns nil, so that a Client is an io.Closer.
func (c *Client) Close() error {
	c.cancel()
	for _, s := range c.pool.servers {
		s.close()
	}
	c.background.Wait()
	return nil
}

// ServerStatus is the state of one server.
type ServerStatus struct {
	// Addr is the server's address as configured.
	Addr string
	// Failed is true while the server is left alone.
	Failed bool
	// Since is when it failed, zero if it began as failed or is not failed.
	Since time.Time
	// Err is the reason of the failure or of the last vain probe, nil if it is not failed.
	Err error
}

// Servers returns the state of all servers in the order of the configuration. A server that was never asked
// counts as working.
func (c *Client) Servers() []ServerStatus {
	var all []ServerStatus
	for _, s := range c.pool.servers {
		s.mu.Lock()
		status := ServerStatus{Addr: s.Addr, Failed: s.failed}
		if s.failed {
			status.Since, status.Err = s.failedAt, s.failure
		}
		s.mu.Unlock()
		all = append(all, status)
	}
	return all
}

// ServerFor returns the address of the server that a request for key would go to now, without connecting to it.
// The error is ErrKeyInvalid, or ErrNoServers; with the latter comes the address at which the search ended.
func (c *Client) ServerFor(key string) (addr string, err error) {
	wire, err := c.wireKey(key)
	if err != nil {
		return "", err
	}
	r := c.pool.route(wire)
	s, ok := r.next()
	if !ok {
		err = fmt.Errorf("find server of %.64q: %w", key, ErrNoServers)
	}
	return s.Addr, err
}

// call runs a request for one key on the key's server, or where failover leads. It returns the server that
// answered and the answer, or nil and the failure.
func (c *Client) call(ctx context.Context, r *route, req request) (*server, error) {
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	for {
		s, ok := r.next()
		if !ok {
			return nil, noServers(s, r.failures)
		}
		f, answer := s.do(ctx, req)
		if f == nil {
			return s, answer
		}
		r.sent = r.sent || f.sent
		if f.sent && !req.repeatable && !c.cfg.RepeatUnknown {
			return nil, &unknownError{f.err}
		}
		if errors.Is(f.err, ErrClosed) {
			return nil, f.err
		}
		if err := ctx.Err(); err != nil {
			if errors.Is(f.err, err) {
				return nil, f.err
			}
			return nil, fmt.Errorf("%w after %w", err, f.err)
		}
		r.failures = append(r.failures, f.err)
	}
}

// doubted is the outcome of a write whose last answer came from s, nil for none: where no server answered, and one may have executed
// it, its effect is unknown.
func (r *route) doubted(s *server, err error) error {
	if s != nil || !r.sent || errors.Is(err, ErrUnknown) {
		return err
	}
	return &unknownError{err}
}

// ready returns why no request can begin, if so.
func (c *Client) ready(ctx context.Context) error {
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	return ctx.Err()
}

// noServers is the error for a key whose search ended at last. tried are the failures during this request.
func noServers(last *server, tried []error) error {
	if len(tried) == 0 {
		tried = append(tried, last.downNow())
	}
	return fmt.Errorf("%w: %w", ErrNoServers, errors.Join(tried...))
}

// named puts verb and key before an error. Answers stay as they are: they are no failures, and callers meet them
// all the time.
func named(verb, key string, err error) error {
	switch err {
	case nil, ErrCacheMiss, ErrNotStored, ErrCASConflict:
		return err
	}
	return fmt.Errorf("%s %.64q: %w", verb, key, err)
}
