package futago

import (
	"context"
	"fmt"
	"time"

	"github.com/futago/futago/internal/memcache"
)

// Get returns the item of key. Its error is ErrCacheMiss if there is none.
func (c *Client) Get(ctx context.Context, key string) (*Item, error) {
	return c.get(ctx, memcache.OpGet, key, 0)
}

// Gets is Get with the CAS filled in, for CompareAndSwap.
func (c *Client) Gets(ctx context.Context, key string) (*Item, error) {
	return c.get(ctx, memcache.OpGets, key, 0)
}

// GetAndTouch is Gets that also gives the item a new expiration.
func (c *Client) GetAndTouch(ctx context.Context, key string, expiration time.Duration) (*Item, error) {
	return c.get(ctx, memcache.OpGats, key, expiration)
}

func (c *Client) get(ctx context.Context, op memcache.Op, key string, expiration time.Duration) (*Item, error) {
	wire, err := c.wireKey(key)
	if err != nil {
		return nil, err
	}
	if c.coded(wire) {
		return c.metaGet(ctx, op, key, wire, expiration)
	}
	var item *Item
	req := request{repeatable: true, run: func(conn *conn) (error, error) {
		item = nil
		line := conn.out
		if op == memcache.OpGats {
			line = memcache.AppendGatRequest(line, op, exptime(expiration, time.Now()), wire)
		} else {
			line = memcache.AppendGetRequest(line, op, wire)
		}
		if err := conn.write(line, nil); err != nil {
			return nil, err
		}
		err := conn.replies.ReadValues(op != memcache.OpGet, func(v memcache.Value) error {
			if string(v.Key) != wire || item != nil {
				return notAskedFor(v)
			}
			item = &Item{Key: key, Value: v.Data, Flags: v.Flags, CAS: v.CAS}
			return nil
		})
		if err == nil && item == nil {
			return ErrCacheMiss, nil
		}
		return nil, err
	}}
	r := c.pool.route(wire)
	s, err := c.call(ctx, &r, req)
	if err != nil {
		return nil, named(op.String(), key, err)
	}
	if op == memcache.OpGats {
		c.copy(ctx, &r, s, touchRequest(wire, expiration))
	}
	return item, nil
}

// notAskedFor is the error for a value that is no part of the answer.
func notAskedFor(v memcache.Value) error {
	return &memcache.SyntaxError{Reason: "value that was not asked for", Line: fmt.Sprintf("%.64s", v.Key)}
}
