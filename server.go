package futago

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/futago/futago/internal/memcache"
)

// server is one server of the pool: its unused connections, and whether it works.
type server struct {
	Server
	client *Client
	at     endpoint

	mu sync.Mutex
	// idle are the unused connections, the newest last.
	idle []*conn
	// failed is true from a failure until the server has answered again.
	failed bool
	// failedAt is the time of the last failure, zero for a server that began as failed.
	failedAt time.Time
	// failure is the reason of the last failure.
	failure error
	// epoch counts failures. The failure of a request that began in an earlier epoch says nothing new.
	epoch int
	// probing is true while a goroutine waits for a failed server to come back.
	probing bool
	// checking is true while a goroutine asks a server in doubt.
	checking bool
	closed   bool

	// kick wakes the probe before its time; it holds one wish.
	kick chan struct{}
}

// failure says why a server did not do its part.
type failure struct {
	err error
	// sent is true if the request may have been executed.
	sent bool
}

// usable reports whether requests may go to the server.
func (s *server) usable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.failed:
		return true
	case s.RetryInterval < 0 || !s.client.cfg.PHPCompatible:
		return false
	case s.failedAt.IsZero():
		return true
	}
	// PHP counts whole seconds.
	return time.Now().Unix() >= s.failedAt.Unix()+int64(s.RetryInterval/time.Second)
}

// do runs a request on the server and keeps the books on its state. Exactly one of answer and f has a meaning:
// answer if f is nil. When the context ends, f holds its error.
func (s *server) do(ctx context.Context, req request) (f *failure, answer error) {
	sent := false // on a connection that ended then
	for fresh := false; ; fresh = true {
		c, err := s.acquire(ctx, fresh)
		if err != nil {
			return &failure{err: err, sent: sent}, nil
		}
		clean, answer, err := c.exchange(ctx, req.run)
		if err == nil {
			s.release(c, clean)
			return nil, answer
		}
		if c.reused && s.client.cfg.User != "" && unauthenticated(err) {
			// The server has new users. It executed nothing; a new connection shows whether it still takes ours.
			c.close()
			s.dropIdle()
			continue
		}
		var reply *memcache.ErrorReply
		if errors.As(err, &reply) {
			answer, failed := s.judge(reply)
			if !failed {
				// After a data block that was refused, its bytes may have been taken for commands.
				s.release(c, clean && !req.data)
				return nil, answer
			}
			// An error line means that the request was not executed.
			c.close()
			s.fail(c.epoch, answer)
			return &failure{err: s.down(answer)}, nil
		}
		c.abort()
		if ctx.Err() != nil {
			s.doubt()
			return &failure{err: ctx.Err(), sent: true}, nil
		}
		if c.reused && closedByPeer(err) {
			// The server may have been restarted, or have hung up on an idle client: no failure yet.
			s.dropIdle()
			if req.repeatable || s.client.cfg.RepeatUnknown {
				sent = true
				continue
			}
		} else {
			s.fail(c.epoch, err)
		}
		return &failure{err: s.down(err), sent: true}, nil
	}
}

// closedByPeer reports whether the connection ended without any nonsense and without silence before it.
func closedByPeer(err error) bool {
	var syntax *memcache.SyntaxError
	var timeout net.Error
	return !errors.As(err, &syntax) && !(errors.As(err, &timeout) && timeout.Timeout())
}

func (s *server) down(err error) error { return &downError{addr: s.Addr, err: err} }

// downNow is the error for a server that is marked failed.
func (s *server) downNow() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.failed {
		return s.down(errors.New("just came back"))
	}
	return s.down(s.failure)
}

// acquire returns a connection, with fresh a new one. Its error is the context's, or a downError after which the
// server is marked failed.
func (s *server) acquire(ctx context.Context, fresh bool) (*conn, error) {
	for !fresh {
		c, err := s.popIdle()
		if err != nil {
			return nil, err
		}
		if c == nil {
			break
		}
		if c.alive() {
			return c, nil
		}
		c.close()
	}
	s.mu.Lock()
	epoch := s.epoch
	s.mu.Unlock()
	dialCtx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	c, err := s.connect(dialCtx)
	switch {
	case err == nil:
		c.epoch = epoch
		return c, nil
	case ctx.Err() != nil:
		s.doubt()
		return nil, ctx.Err()
	}
	s.fail(epoch, err)
	return nil, s.down(err)
}

func (s *server) popIdle() (*conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	n := len(s.idle)
	if n == 0 {
		return nil, nil
	}
	c := s.idle[n-1]
	s.idle = s.idle[:n-1]
	c.epoch = s.epoch
	return c, nil
}

// release ends the use of a connection on which the server answered. It is kept only if reusable.
func (s *server) release(c *conn, reusable bool) {
	s.mu.Lock()
	back := s.failed && c.epoch == s.epoch
	if back {
		s.failed = false
	}
	keep := reusable && !s.closed && c.epoch == s.epoch && len(s.idle) < s.client.cfg.MaxIdle
	if keep {
		c.reused = true
		s.idle = append(s.idle, c)
	}
	s.mu.Unlock()
	if !keep {
		c.close()
	}
	if back && s.client.cfg.OnRecovery != nil {
		s.client.cfg.OnRecovery(s.Addr)
	}
}

func (s *server) dropIdle() {
	s.mu.Lock()
	idle := s.idle
	s.idle = nil
	s.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
}

// fail marks the server failed, unless it failed since the request began.
func (s *server) fail(epoch int, err error) {
	s.mu.Lock()
	if epoch != s.epoch || s.closed {
		s.mu.Unlock()
		return
	}
	s.epoch++
	s.failed, s.failedAt, s.failure = true, time.Now(), err
	s.startProbeLocked(false)
	s.mu.Unlock()
	s.dropIdle()
	if s.client.cfg.OnFailure != nil {
		s.client.cfg.OnFailure(s.Addr, err)
	}
}

// close closes the unused connections; those in use are closed when they come back.
func (s *server) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.dropIdle()
}

// check asks the server on a new connection whether it works. An error line is a failure, too.
func (s *server) check(ctx context.Context) error {
	dialCtx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	c, err := s.connect(dialCtx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	c.epoch = s.epoch
	s.mu.Unlock()
	var v string
	if clean, _, err := c.exchange(ctx, versionRequest(&v).run); err != nil {
		c.close()
		return fmt.Errorf("ask version: %w", err)
	} else {
		s.release(c, clean)
	}
	return nil
}
