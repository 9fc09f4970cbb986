package server

import (
	"bytes"
	"context"

	"github.com/futago/futago/internal/cabinet"
	"github.com/futago/futago/internal/tyrant"
)

// gathered is the reply to mget, or to getlist of misc, in the making. It is made in steps, between which others have their turn.
// Nothing of it leaves before it is whole, for its count stands in front.
type gathered struct {
	command tyrant.Command
	keys    [][]byte // still to look up
	held    int      // bytes of the request
	parts   [][]byte // of the reply, in order; none: there is nothing to go on with
	size    int      // bytes of the parts
	n       int      // records in them
}

// look appends the records of the next keys to dst, as many as a step takes.
func (g *gathered) look(ctx context.Context, c *cabinet.Client, dst []byte) ([]byte, error) {
	before, fits := len(dst), true
	n, err := c.MGet(ctx, g.keys[:min(len(g.keys), listInline)], func(key, value []byte) (more bool) {
		if fits = g.size+len(dst)-before+len(key)+len(value) <= c.Limit(); !fits {
			return false
		}
		if g.command == tyrant.MGet {
			dst = tyrant.AppendRecord(dst, key, value)
		} else {
			dst = tyrant.AppendElement(tyrant.AppendElement(dst, key), value)
		}
		g.n++
		return len(dst)-before < feedStep
	})
	if err == nil && !fits {
		err = cabinet.ErrTooMuch
	}
	g.keys = g.keys[n:]
	return dst, err
}

// end writes the head of the reply, which begins at a place of b.
func (g *gathered) end(b []byte, at int) {
	elements := g.n
	if g.command != tyrant.MGet {
		elements *= 2
	}
	tyrant.EndList(b, at, true, elements)
}

// gather answers with the records of keys: at once if a step is enough.
func (s *session) gather(w *worker, keys [][]byte) {
	g := gathered{command: w.treq.Command, keys: keys}
	before := len(s.out)
	out, at := tyrant.BeginList(s.out)
	out, err := g.look(w.srv.ctx, s.tt.client, out)
	size := len(out) - before
	switch {
	case err != nil || size > smallBuffer && w.srv.crowded(int64(s.unsent())):
		s.failTyrant(g.command)
	case len(g.keys) == 0:
		g.end(out, at)
		s.out = out
	default:
		g.keys, g.held = cloneAll(g.keys)
		g.parts, g.size = [][]byte{bytes.Clone(out[before:])}, size
		s.tt.gathered = g
	}
}

// gathering reports whether a list is in the making.
func (s *session) gathering() bool { return s.tt != nil && len(s.tt.gathered.parts) > 0 }

// gatherOn goes a step on with the list; false when that is not the last one.
func (s *session) gatherOn(w *worker, start int) (done bool) {
	g := &s.tt.gathered
	if len(g.keys) > 0 {
		part, err := g.look(w.srv.ctx, s.tt.client, nil)
		g.size += len(part)
		if err != nil || w.srv.crowded(int64(s.unsent()+g.size)) {
			s.failTyrant(g.command)
			*g = gathered{}
			return true
		}
		if len(part) > 0 {
			g.parts = append(g.parts, part)
		}
		if len(g.keys) > 0 {
			return false
		}
		g.end(g.parts[0], 0)
	}
	for ; len(g.parts) > 0; g.parts = g.parts[1:] {
		part := g.parts[0]
		switch {
		case len(s.out) > 0 && s.full(w, start):
			return false
		case len(s.out) == 0:
			s.out = part
		default:
			s.out = append(s.out, part...)
		}
		g.parts[0] = nil
		g.size -= len(part)
	}
	*g = gathered{}
	return true
}

// kept is what the session holds besides its output, in bytes.
func (s *session) kept() int {
	n := len(s.keys)
	if s.tt != nil {
		n += s.tt.gathered.held + s.tt.gathered.size
	}
	return n
}
