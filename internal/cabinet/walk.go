package cabinet

import (
	"bytes"
	"context"
	"slices"

	"github.com/futago/futago/internal/store"
)

// memoryChunk is how much a memory takes at a time, bytes.
const memoryChunk = 64 << 10

// memory holds copies of many small things.
type memory struct {
	chunk []byte
	taken int // bytes
}

func (m *memory) clone(b []byte) []byte {
	m.taken += len(b)
	if len(b) > memoryChunk/8 {
		return bytes.Clone(b)
	}
	if len(b) > cap(m.chunk)-len(m.chunk) {
		m.chunk = make([]byte, 0, memoryChunk)
	}
	start := len(m.chunk)
	m.chunk = append(m.chunk, b...)
	return m.chunk[start:len(m.chunk):len(m.chunk)]
}

// Walk calls f with every key until that returns false, in no order. What is there all the time is shown once. f must not keep
// the key, nor call the store.
func (c *Client) Walk(ctx context.Context, f func(key []byte) bool) error {
	var place store.Cursor
	goOn := true
	for more := true; more && goOn; {
		if err := ctx.Err(); err != nil {
			return c.note(err)
		}
		c.c.walking.Lock()
		var err error
		more, err = c.c.store.List(&place, func(r *store.Listed) bool {
			if goOn && c.sees(r.Key) {
				goOn = f(r.Key)
			}
			return goOn
		})
		c.c.walking.Unlock()
		if err != nil {
			return c.note(err)
		}
	}
	return c.note(nil)
}

// lowest collects the lowest keys, at most max of them unless that is negative.
type lowest struct {
	max, limit int
	keys       [][]byte
	bound      []byte // of the keys that are still of interest; nil: there is none
	memory
}

// add takes a key; false when there are too many.
func (l *lowest) add(key []byte) bool {
	if l.bound != nil && bytes.Compare(key, l.bound) >= 0 {
		return true
	}
	l.keys = append(l.keys, l.clone(key))
	if l.max >= 0 && len(l.keys) >= 2*l.max+cursorStep {
		if l.sort(); len(l.keys) == l.max {
			l.bound = l.keys[l.max-1]
		}
		kept := memory{}
		for i, key := range l.keys {
			l.keys[i] = kept.clone(key)
		}
		l.memory = kept
	}
	return l.taken+len(l.keys)*keyOverhead <= l.limit
}

// keyOverhead is what a key in a list takes besides its bytes.
const keyOverhead = 24

// sort orders the keys and drops those that are too many.
func (l *lowest) sort() {
	slices.SortFunc(l.keys, bytes.Compare)
	l.keys = slices.CompactFunc(l.keys, bytes.Equal) // a store that is elsewhere may show one twice
	if l.max >= 0 && len(l.keys) > l.max {
		clear(l.keys[l.max:])
		l.keys = l.keys[:l.max]
	}
}

// Keys returns the lowest keys that the filter wants, in byte order, at most max of them unless that is negative; ErrTooMuch.
func (c *Client) Keys(ctx context.Context, wants func(key []byte) bool, max int) ([][]byte, error) {
	if max == 0 {
		return nil, c.note(nil)
	}
	list := lowest{max: max, limit: c.c.limit}
	fits := true
	err := c.Walk(ctx, func(key []byte) bool {
		if wants(key) {
			fits = list.add(key)
		}
		return fits
	})
	if err == nil && !fits {
		err = c.note(ErrTooMuch)
	}
	if err != nil {
		return nil, err
	}
	list.sort()
	return list.keys, nil
}

// FwmKeys returns the lowest keys with a prefix, in byte order, at most max of them unless that is negative; ErrTooMuch.
func (c *Client) FwmKeys(ctx context.Context, prefix []byte, max int) ([][]byte, error) {
	return c.Keys(ctx, func(key []byte) bool { return bytes.HasPrefix(key, prefix) }, max)
}
