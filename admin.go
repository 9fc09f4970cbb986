package futago

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/futago/futago/internal/memcache"
)

// FlushAll makes every server forget all items that it holds now, or with a delay, those that it holds then. It
// goes to all servers and never elsewhere; the error names those that did not do it.
func (c *Client) FlushAll(ctx context.Context, delay time.Duration) error {
	return c.everywhere(ctx, "flush", func(int) request {
		return lineRequest(func(line []byte) []byte {
			return memcache.AppendFlushRequest(line, exptime(max(delay, 0), time.Now()))
		}, memcache.StatusOK)
	})
}

// Version returns the version of every server by address. Servers that did not answer are absent, and named in
// the error.
func (c *Client) Version(ctx context.Context) (map[string]string, error) {
	versions := make([]string, len(c.pool.servers))
	err := c.everywhere(ctx, "ask version", func(i int) request { return versionRequest(&versions[i]) })
	all := make(map[string]string)
	for i, v := range versions {
		if v != "" {
			all[c.pool.servers[i].Addr] = v
		}
	}
	return all, err
}

// Stats returns the statistics of every server by address and name. arg chooses the kind, empty the general ones.
// Servers that did not answer are absent, and named in the error.
func (c *Client) Stats(ctx context.Context, arg string) (map[string]map[string]string, error) {
	if strings.ContainsFunc(arg, func(r rune) bool { return r < ' ' || r == 0x7F }) {
		return nil, fmt.Errorf("ask statistics %.64q: argument holds control characters", arg)
	}
	stats := make([]map[string]string, len(c.pool.servers))
	err := c.everywhere(ctx, "ask statistics", func(i int) request {
		return request{repeatable: true, run: func(conn *conn) (answer, err error) {
			if err := conn.write(memcache.AppendStatsRequest(conn.out, arg), nil); err != nil {
				return nil, err
			}
			read := make(map[string]string)
			if err := conn.replies.ReadStats(func(name, value string) { read[name] = value }); err != nil {
				return nil, err
			}
			stats[i] = read
			return nil, nil
		}}
	})
	all := make(map[string]map[string]string)
	for i, read := range stats {
		if read != nil {
			all[c.pool.servers[i].Addr] = read
		}
	}
	return all, err
}

// Ping returns nil if every server answers, and otherwise an error that names those that do not.
func (c *Client) Ping(ctx context.Context) error {
	return c.everywhere(ctx, "ping", func(int) request { return versionRequest(new(string)) })
}

// everywhere runs a request, made for the number of the server, on all servers at the same time. A server that is marked failed is not asked: its error
// is ErrServerDown at once.
func (c *Client) everywhere(ctx context.Context, verb string, req func(i int) request) error {
	if err := c.ready(ctx); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	errs := make([]error, len(c.pool.servers))
	var all sync.WaitGroup
	for i, s := range c.pool.servers {
		all.Go(func() {
			if !s.usable() {
				errs[i] = s.downNow()
				return
			}
			f, answer := s.do(ctx, req(i))
			if f != nil {
				answer = f.err
			}
			errs[i] = answer
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return nil
}
