package futago

import (
	"context"
	"time"

	"github.com/futago/futago/internal/memcache"
)

// Set stores the item whether or not its key exists.
func (c *Client) Set(ctx context.Context, item *Item) error {
	return c.store(ctx, memcache.OpSet, item)
}

// Add stores the item if its key does not exist. Otherwise its error is ErrNotStored.
func (c *Client) Add(ctx context.Context, item *Item) error {
	return c.store(ctx, memcache.OpAdd, item)
}

// Replace stores the item if its key exists. Otherwise its error is ErrNotStored.
func (c *Client) Replace(ctx context.Context, item *Item) error {
	return c.store(ctx, memcache.OpReplace, item)
}

// Append adds item.Value at the end of the value of an existing key, which keeps its flags and expiration.
// Its error is ErrNotStored if the key does not exist.
func (c *Client) Append(ctx context.Context, item *Item) error {
	return c.store(ctx, memcache.OpAppend, item)
}

// Prepend is Append at the beginning of the value.
func (c *Client) Prepend(ctx context.Context, item *Item) error {
	return c.store(ctx, memcache.OpPrepend, item)
}

// CompareAndSwap stores the item if it was not changed since Gets returned it (or another item with its CAS).
// Its error is ErrCASConflict if it was, and ErrCacheMiss if it is gone.
func (c *Client) CompareAndSwap(ctx context.Context, item *Item) error {
	return c.store(ctx, memcache.OpCAS, item)
}

// Delete removes a key. Its error is ErrCacheMiss if there was none; after a failover during the request that may
// also mean that the server that failed had just removed it.
func (c *Client) Delete(ctx context.Context, key string) error {
	wire, err := c.wireKey(key)
	if err != nil {
		return err
	}
	r := c.pool.route(wire)
	req := lineRequest(func(line []byte) []byte { return memcache.AppendDeleteRequest(line, wire) }, memcache.StatusDeleted)
	if c.coded(wire) {
		req = metaDelete(wire)
	}
	s, err := c.call(ctx, &r, req)
	if err == nil || err == ErrCacheMiss {
		c.copy(ctx, &r, s, req)
	}
	return named("delete", key, r.doubted(s, err))
}

// Touch gives the item of key a new expiration. Its error is ErrCacheMiss if there is none.
func (c *Client) Touch(ctx context.Context, key string, expiration time.Duration) error {
	wire, err := c.wireKey(key)
	if err != nil {
		return err
	}
	r := c.pool.route(wire)
	req := touchRequest(wire, expiration)
	if c.coded(wire) {
		req = metaTouch(wire, expiration)
	}
	s, err := c.call(ctx, &r, req)
	if err == nil || c.cfg.PHPCompatible {
		c.copy(ctx, &r, s, req)
	}
	return named("touch", key, r.doubted(s, err))
}

// Increment adds delta to the number stored at key and returns the sum, which wraps at 2^64. Its error is
// ErrCacheMiss if the key does not exist, and ErrNotNumeric if its value is not a decimal number.
func (c *Client) Increment(ctx context.Context, key string, delta uint64) (uint64, error) {
	return c.count(ctx, memcache.OpIncr, key, delta)
}

// Decrement is Increment downwards. It stops at 0.
func (c *Client) Decrement(ctx context.Context, key string, delta uint64) (uint64, error) {
	return c.count(ctx, memcache.OpDecr, key, delta)
}

func (c *Client) count(ctx context.Context, op memcache.Op, key string, delta uint64) (uint64, error) {
	wire, err := c.wireKey(key)
	if err != nil {
		return 0, err
	}
	r := c.pool.route(wire)
	var number uint64
	form := countRequest
	if c.coded(wire) {
		form = metaCount
	}
	s, err := c.call(ctx, &r, form(op, wire, delta, &number))
	if err == nil || c.cfg.PHPCompatible {
		// Each copy needs a place of its own for a result that nobody reads.
		c.copies(ctx, &r, s, func() request { return form(op, wire, delta, new(uint64)) })
	}
	if err != nil {
		return 0, named(op.String(), key, r.doubted(s, err))
	}
	return number, nil
}

func (c *Client) store(ctx context.Context, op memcache.Op, item *Item) error {
	wire, err := c.wireKey(item.Key)
	if err != nil {
		return err
	}
	form := storeRequest
	if c.coded(wire) {
		form = metaStore
	}
	r := c.pool.route(wire)
	s, err := c.call(ctx, &r, form(op, wire, item))
	switch {
	case c.cfg.PHPCompatible:
		c.copy(ctx, &r, s, form(op, wire, item))
	case err == nil:
		if op == memcache.OpAdd || op == memcache.OpReplace || op == memcache.OpCAS {
			// The first server met the condition; a copy that differs must follow, not decide.
			op = memcache.OpSet
		}
		c.copy(ctx, &r, s, form(op, wire, item))
	}
	return named(op.String(), item.Key, r.doubted(s, err))
}

// copy runs a write on the further servers of a redundant pool. first is the server that answered, nil for none.
func (c *Client) copy(ctx context.Context, r *route, first *server, req request) {
	c.copies(ctx, r, first, func() request { return req })
}
