package futago

import (
	"context"
	"sync"
	"time"

	"github.com/futago/futago/internal/memcache"
)

// request is what is to be said to one server, and how.
type request struct {
	// run sends the request and reads the reply. answer is what the server said (nil, or one of our errors such as
	// ErrCacheMiss), err is the failure to find out. It may be called again on another connection or server.
	run func(*conn) (answer, err error)
	// repeatable is true if executing the request twice does no harm.
	repeatable bool
	// data is true if the request has a data block.
	data bool
}

// lineRequest is a repeatable request of one line whose reply is want or NOT_FOUND.
func lineRequest(line func(dst []byte) []byte, want memcache.Status) request {
	return request{repeatable: true, run: func(c *conn) (answer, err error) {
		if err := c.write(line(c.out), nil); err != nil {
			return nil, err
		}
		return c.status(want)
	}}
}

func touchRequest(wire string, expiration time.Duration) request {
	return lineRequest(func(line []byte) []byte {
		return memcache.AppendTouchRequest(line, wire, exptime(expiration, time.Now()))
	}, memcache.StatusTouched)
}

func storeRequest(op memcache.Op, wire string, item *Item) request {
	value := item.Value
	if value == nil {
		value = []byte{}
	}
	repeatable := op == memcache.OpSet || op == memcache.OpReplace
	return request{repeatable: repeatable, data: true, run: func(c *conn) (answer, err error) {
		expires := exptime(item.Expiration, time.Now())
		line := c.out
		if op == memcache.OpCAS {
			line = memcache.AppendCASRequest(line, wire, item.Flags, expires, len(value), item.CAS)
		} else {
			line = memcache.AppendStoreRequest(line, op, wire, item.Flags, expires, len(value))
		}
		if err := c.write(line, value); err != nil {
			return nil, err
		}
		return c.status(memcache.StatusStored)
	}}
}

func countRequest(op memcache.Op, wire string, delta uint64, number *uint64) request {
	return request{run: func(c *conn) (answer, err error) {
		if err := c.write(memcache.AppendCountRequest(c.out, op, wire, delta), nil); err != nil {
			return nil, err
		}
		v, found, err := c.replies.ReadNumber()
		if err == nil && !found {
			return ErrCacheMiss, nil
		}
		*number = v
		return nil, err
	}}
}

// versionRequest asks for the version. It is the cheapest request that every server answers.
func versionRequest(into *string) request {
	return request{repeatable: true, run: func(c *conn) (answer, err error) {
		if err := c.write(memcache.AppendVersionRequest(c.out), nil); err != nil {
			return nil, err
		}
		*into, err = c.replies.ReadVersion()
		return nil, err
	}}
}

// status reads a reply that is want, or one of those that mean no.
func (c *conn) status(want memcache.Status) (answer, err error) {
	s, err := c.replies.ReadStatus()
	if err != nil || s == want {
		return nil, err
	}
	store := want == memcache.StatusStored
	switch {
	case s == memcache.StatusNotFound && want != memcache.StatusOK:
		return ErrCacheMiss, nil
	case s == memcache.StatusNotStored && store:
		return ErrNotStored, nil
	case s == memcache.StatusExists && store:
		return ErrCASConflict, nil
	}
	return nil, &memcache.SyntaxError{Reason: "status of another command", Line: s.String()}
}

// copies runs a write on the further servers of a redundant pool, all at the same time, and waits for them. Their
// answers are not looked at: the first server's is the result. first is nil if no server answered.
func (c *Client) copies(ctx context.Context, r *route, first *server, req func() request) {
	if c.cfg.Redundancy < 2 || first == nil {
		return
	}
	var all sync.WaitGroup
	for _, s := range r.copies(first) {
		all.Go(func() { s.do(ctx, req()) })
	}
	all.Wait()
}
