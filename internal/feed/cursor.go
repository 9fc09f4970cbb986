package feed

import (
	"errors"
	"fmt"
	"slices"

	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/ulog"
)

// ErrGone is wrapped when what follows a position cannot be told by this node.
var ErrGone = errors.New("what follows this position is not known here")

// Cursor reads the changes of one node in order. It keeps a segment of the log in memory; Close it.
type Cursor struct {
	st     *store.Store
	pos    Position
	reader *ulog.Reader
	rec    record.Record
}

// Begin returns a cursor at the end of the log of a node.
func Begin(st *store.Store, node int) (*Cursor, error) {
	c := &Cursor{st: st}
	at := st.Log().End()
	c.pos = Position{node, at, claimsAt(st, at.Seq)}
	reader, err := st.Log().ReadAfterSeq(at.Seq)
	if err != nil {
		return nil, fmt.Errorf("read the end of the log: %w", err)
	}
	c.reader = reader
	return c, nil
}

// Resume returns a cursor of a node behind a position that was told by any node. It returns ErrGone when the node cannot go
// on from there.
func Resume(st *store.Store, node int, p Position) (*Cursor, error) {
	c := &Cursor{st: st, pos: p}
	if p.Node != node {
		i := slices.IndexFunc(p.Claims, func(c Claim) bool { return c.Node == node && !c.Gap && c.At.Seq != 0 })
		if i < 0 {
			return nil, fmt.Errorf("%w: it is of node %d, which did not say how far it held the log of node %d", ErrGone, p.Node, node)
		}
		at := p.Claims[i].At
		c.pos = Position{node, at, claimsAt(st, at.Seq)}
	}
	if c.pos.Claims = slices.Clone(c.pos.Claims); !st.Whole() {
		c.pos.Claims = nil
	}
	var err error
	if c.reader, err = readAfter(st.Log(), c.pos.At); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGone, err)
	}
	return c, nil
}

// readAfter goes on behind a place. Where only the entry there was compacted, nothing behind it is missing.
func readAfter(log *ulog.Log, at ulog.Position) (*ulog.Reader, error) {
	reader, err := log.ReadAfter(at)
	if errors.Is(err, ulog.ErrGone) && at.Life == log.Identity() {
		return log.ReadAfterSeq(at.Seq)
	}
	return reader, err
}

// claimsAt are the claims that the notes in front of a place of the log make. Of a peer that was noted again behind it, the
// reader will meet the note: until then nothing is known, so there may be a gap.
func claimsAt(st *store.Store, seq uint64) []Claim {
	if !st.Whole() {
		return nil
	}
	var p Position
	for _, n := range st.PeerNotes() {
		c := p.claim(n.Node)
		switch {
		case c == nil:
		case n.IsGap:
			c.Gap = n.Open || n.Seq > seq
		case n.Followed.Part < 0 && n.Seq <= seq:
			c.At = n.Followed.Position
		}
	}
	return p.Claims
}

// Change is an entry of the log that concerns clients.
type Change struct {
	*record.Record        // valid until the following Next
	Size           int64  // bytes in the log
	Seq            uint64 // in the log of the node that tells it
}

// Next returns the following change, nil when there is none yet. The error is ErrGone when the log let go of it.
func (c *Cursor) Next() (*Change, error) {
	log, limit := c.st.Log(), c.st.Acknowledged()
	for c.reader.After() < limit {
		e, ok := c.reader.Next()
		if !ok {
			if c.reader.Gone() {
				return nil, fmt.Errorf("%w: it was compacted meanwhile", ErrGone)
			}
			return nil, nil
		}
		c.pos.At = ulog.Position{Life: log.Identity(), Seq: e.Seq, CRC: e.CRC}
		e.Raw.Into(&c.rec)
		switch c.rec.Kind {
		case record.Mark:
			c.note()
		case record.Member:
		default:
			return &Change{&c.rec, e.Size(), e.Seq}, nil
		}
	}
	return nil, nil
}

// note takes what the node noted about a peer. While the disk has spoilt something, what comes back for it may be older than
// what was read before.
func (c *Cursor) note() {
	n, ok := store.DecodePeerNote(&c.rec)
	if !ok || n.Node == c.pos.Node {
		return
	}
	if !c.st.Whole() {
		c.pos.Claims = nil
		return
	}
	claim := c.pos.claim(n.Node)
	switch {
	case claim == nil:
	case n.IsGap:
		claim.Gap = n.Open
	case n.Followed.Part < 0:
		claim.At = n.Followed.Position
	}
}

// Position is behind the last change that Next returned, and what was passed since.
func (c *Cursor) Position() Position {
	p := c.pos
	p.Claims = slices.Clone(p.Claims)
	return p
}

// Close lets go of the log.
func (c *Cursor) Close() { c.reader.Close() }
