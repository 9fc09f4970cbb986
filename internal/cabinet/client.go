package cabinet

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"github.com/futago/futago/internal/store"
)

// Errors that the store does not have.
var (
	ErrEnd      = errors.New("no more keys")
	ErrTooMuch  = errors.New("reply is too large: ask for less at a time")
	ErrArgument = errors.New("invalid arguments")
	ErrFunction = errors.New("no such function")
)

// Cabinet is what all clients of one store share.
type Cabinet struct {
	store Store
	limit int // bytes that a list may take

	// Walks over all keys take turns, in small steps: many at a time would take the processors from everybody else.
	walking sync.Mutex
}

// New returns the cabinet of a store, whose lists may take so many bytes.
func New(s Store, limit int) *Cabinet { return &Cabinet{store: s, limit: limit} }

// Scratch is what a client works with during an operation. Clients that run one after the other may share one.
type Scratch struct {
	req  store.Request
	res  store.Result
	view store.View
}

// Limit is how much a list may take, in bytes.
func (c *Client) Limit() int { return c.c.limit }

// Client is one client. It is not safe for concurrent use.
type Client struct {
	*Scratch
	// Sees decides which keys its lists may name; nil: all.
	Sees func(key []byte) bool
	// Level is at which its writes are to be acknowledged.
	Level store.Level
	// Relayed says that it executes the update log of another server.
	Relayed bool

	c      *Cabinet
	seq    uint64
	cursor cursor
	last   error // of the last operation
}

// Client returns a new client.
func (c *Cabinet) Client(s *Scratch) *Client { return &Client{c: c, Scratch: s} }

// Written returns the log position of the newest write since the last call, 0 if there was none. Nothing may be told of it
// before the gate of the store has passed that.
func (c *Client) Written() (seq uint64) {
	seq, c.seq = c.seq, 0
	return seq
}

// Await makes a log position count as written by the client.
func (c *Client) Await(seq uint64) { c.seq = max(c.seq, seq) }

// commit executes what stands in req.
func (c *Client) commit(op store.Op, key, value []byte) error {
	q := &c.req
	q.Op, q.Key, q.Value, q.Level, q.Relayed = op, key, value, c.Level, c.Relayed
	err := c.c.store.Commit(q, &c.res)
	q.Key, q.Value, q.Create, q.Relayed = nil, nil, false, false
	if err == nil && c.res.Seq != 0 {
		c.seq = c.res.Seq
	}
	return c.note(err)
}

func (c *Client) note(err error) error {
	c.last = err
	return err
}

// Put stores a value.
func (c *Client) Put(key, value []byte) error { return c.commit(store.Set, key, value) }

// PutKeep stores a value where none is; store.ErrExists.
func (c *Client) PutKeep(key, value []byte) error { return c.commit(store.Add, key, value) }

// PutCat appends to a value, or stores one where none is.
func (c *Client) PutCat(key, value []byte) error {
	c.req.Create = true
	return c.commit(store.Append, key, value)
}

// PutShl appends to a value and keeps the last width bytes of it, or stores the whole one where none is.
func (c *Client) PutShl(key, value []byte, width int) error {
	c.req.Create, c.req.Width = true, width
	return c.commit(store.Shift, key, value)
}

// Out deletes; store.ErrNotFound.
func (c *Client) Out(key []byte) error { return c.commit(store.Delete, key, nil) }

// AddInt adds to a number of 4 bytes, or begins one, and returns the sum; store.ErrNotNumeric.
func (c *Client) AddInt(key []byte, n int32) (int32, error) {
	c.req.Int = n
	err := c.commit(store.AddInt, key, nil)
	return c.res.Int, err
}

// AddDouble adds to a number of 8 bytes, or begins one, and returns the sum; store.ErrNotNumeric also when that is none.
func (c *Client) AddDouble(key []byte, n float64) (float64, error) {
	c.req.Double = n
	err := c.commit(store.AddDouble, key, nil)
	return c.res.Double, err
}

// Append appends the value of a key to dst; store.ErrNotFound.
func (c *Client) Append(dst, key []byte) ([]byte, error) {
	v, err := c.hold(key)
	if err != nil {
		return dst, err
	}
	defer v.Release()
	return append(dst, v.Value...), nil
}

// Get returns a copy of the value of a key; store.ErrNotFound.
func (c *Client) Get(key []byte) ([]byte, error) {
	v, err := c.hold(key)
	if err != nil {
		return nil, err
	}
	defer v.Release()
	return bytes.Clone(v.Value), nil
}

// VSiz returns the size of the value of a key; store.ErrNotFound.
func (c *Client) VSiz(key []byte) (int, error) {
	v, err := c.hold(key)
	if err != nil {
		return 0, err
	}
	defer v.Release()
	return len(v.Value), nil
}

// hold acquires a record. The caller must release it.
func (c *Client) hold(key []byte) (*store.View, error) {
	if c.c.store.Acquire(key, &c.view) {
		return &c.view, c.note(nil)
	}
	if c.view.Fault != nil {
		return nil, c.note(c.view.Fault)
	}
	return nil, c.note(store.ErrNotFound)
}

// MGet calls show with the values of those keys that have one, in order, until it returns false; show must not keep them. It returns
// how many keys it has looked up.
func (c *Client) MGet(ctx context.Context, keys [][]byte, show func(key, value []byte) (more bool)) (n int, err error) {
	for i, key := range keys {
		if i%256 == 0 && ctx.Err() != nil {
			return i, c.note(ctx.Err())
		}
		v, err := c.hold(key)
		if errors.Is(err, store.ErrNotFound) {
			continue
		} else if err != nil {
			return i, err
		}
		more := show(key, v.Value)
		v.Release()
		if !more {
			return i + 1, c.note(nil)
		}
	}
	return len(keys), c.note(nil)
}

// Vanish deletes everything, and returns when it is not counted any more.
func (c *Client) Vanish() error {
	flush := c.c.store.FlushRelayed
	if !c.Relayed {
		flush = func() (uint64, error) { return c.c.store.FlushAll(0) }
	}
	seq, err := flush()
	if err == nil {
		c.seq = seq
		c.c.store.SweepFlush()
	}
	return c.note(err)
}

// Sync returns when all that was written here is on the disk.
func (c *Client) Sync() error {
	c.c.store.Flush()
	return c.note(c.c.store.Sync())
}

// Optimize gives back what space of the disk is worth it now.
func (c *Client) Optimize(ctx context.Context) error {
	for ctx.Err() == nil && c.c.store.CompactOnce() {
	}
	return c.note(ctx.Err())
}

// RNum is the number of records. Expired ones count until they are swept.
func (c *Client) RNum() uint64 { return uint64(max(0, c.c.store.Stats().Items)) }

// Size is what the records take, in bytes.
func (c *Client) Size() uint64 { return uint64(max(0, c.c.store.Stats().Bytes)) }
