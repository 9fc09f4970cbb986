package cabinet

import (
	"bytes"
	"slices"

	"github.com/futago/futago/internal/store"
)

// cursorStep is how many keys a cursor looks up at a time.
const cursorStep = 256

// cursor is the place of iterinit and iternext. It belongs to one client: the original has one for all. Keys that are there
// all the time come once, in no order.
type cursor struct {
	begun bool
	place store.Cursor
	more  bool     // keys may lie behind place
	keys  [][]byte // the next ones
	memory
}

// IterInit begins with the first key.
func (c *Client) IterInit() error {
	c.cursor = cursor{begun: true, more: true}
	return c.note(nil)
}

// IterInitAt begins with a key; store.ErrNotFound, and the cursor stays where it was.
func (c *Client) IterInitAt(key []byte) error {
	if _, err := c.VSiz(key); err != nil {
		return err
	}
	next := cursor{begun: true, more: true, place: c.c.store.CursorAt(key)}
	if err := c.fill(&next); err != nil {
		return err
	}
	// Keys of the same place may come first.
	i := slices.IndexFunc(next.keys, func(k []byte) bool { return bytes.Equal(k, key) })
	if i < 0 {
		return c.note(store.ErrNotFound) // deleted meanwhile
	}
	next.keys = next.keys[i:]
	c.cursor = next
	return c.note(nil)
}

// Ready reports whether IterNext is quick: a key is at hand, or there is none. Otherwise it may have to go through all keys, of
// which the client sees few.
func (c *Client) Ready() bool {
	p := &c.cursor
	if p.begun && len(p.keys) == 0 && p.more {
		if c.fill(p) != nil {
			return true // IterNext says why
		}
	}
	return len(p.keys) > 0 || !p.more
}

// IterNext returns the next key, valid until the next call; ErrEnd, also before IterInit.
func (c *Client) IterNext() (key []byte, err error) {
	p := &c.cursor
	for p.begun {
		if len(p.keys) == 0 {
			if !p.more {
				break
			}
			if err := c.fill(p); err != nil {
				return nil, err
			}
			continue
		}
		key, p.keys = p.keys[0], p.keys[1:]
		if c.c.store.Peek(key, &c.view) { // it may be gone since
			c.view.Release()
			return key, c.note(nil)
		}
		if c.view.Fault != nil {
			return nil, c.note(c.view.Fault)
		}
	}
	c.cursor = cursor{}
	return nil, c.note(ErrEnd)
}

// fill looks up the next keys, if there are any in the next step.
func (c *Client) fill(p *cursor) (err error) {
	p.keys, p.memory = p.keys[:0], memory{}
	p.more, err = c.c.store.List(&p.place, func(r *store.Listed) bool {
		if c.sees(r.Key) {
			p.keys = append(p.keys, p.clone(r.Key))
		}
		return len(p.keys) < cursorStep
	})
	if err != nil {
		return c.note(err)
	}
	return nil
}

func (c *Client) sees(key []byte) bool { return c.Sees == nil || c.Sees(key) }
