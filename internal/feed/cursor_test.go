package feed

import (
	"errors"
	"reflect"
	"testing"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/ulog"
)

// What the notes of a node about its peer let a position say, for who has read past them, who begins behind them, and who
// comes to a place in front of them.
func TestClaims(t *testing.T) {
	h := newHost(t, nil)
	if err := h.st.Expect(2, "127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	begin := func() *Cursor {
		t.Helper()
		c, err := Begin(h.st, 1)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	reading := begin()
	first := reading.Position()
	place := func(seq uint64) ulog.Position { return ulog.Position{Life: ulog.Identity{9}, Seq: seq, CRC: 7} }
	follow := func(seq uint64, part int) func() error {
		return func() error {
			_, err := h.st.SetFollowed(2, store.Followed{Position: place(seq), Part: part})
			return err
		}
	}
	claim := func(seq uint64, gap bool) []Claim { return []Claim{{Node: 2, At: place(seq), Gap: gap}} }
	nothing := func(gap bool) []Claim { return []Claim{{Node: 2, Gap: gap}} }
	steps := []struct {
		what            string
		do              func() error
		reading, behind []Claim
	}{
		{"nothing is noted", func() error { return nil }, nil, nil},
		{"all is held up to 10", follow(10, -1), claim(10, false), claim(10, false)},
		{"a snapshot from 20 on is half done", follow(20, 512), claim(10, false), nothing(false)},
		{"it is done", follow(25, -1), claim(25, false), claim(25, false)},
		{"own writes are missing", func() error { return h.st.OpenGap(2, hlc.Make(1, 0, 1)) }, claim(25, true), claim(25, true)},
		{"they still are", follow(30, -1), claim(30, true), claim(30, true)},
		{"they came", func() error { return h.st.CloseGap(2) }, claim(30, false), claim(30, false)},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Fatal(err)
		}
		h.st.Log().Flush()
		if c, err := reading.Next(); c != nil || err != nil {
			t.Fatalf("%s: read %v, %v", s.what, c, err)
		}
		if got := reading.Position().Claims; !reflect.DeepEqual(got, s.reading) {
			t.Errorf("%s: who reads has %+v, want %+v", s.what, got, s.reading)
		}
		if got := begin().Position().Claims; !reflect.DeepEqual(got, s.behind) {
			t.Errorf("%s: who begins has %+v, want %+v", s.what, got, s.behind)
		}
	}

	// From node 2, which held this log up to the first place: what was noted behind that is not known there yet.
	from := Position{Node: 2, At: place(50), Claims: []Claim{{Node: 1, At: first.At}, {Node: 3, At: place(5)}}}
	c, err := Resume(h.st, 1, from)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.Position(); got.Node != 1 || got.At != first.At || !reflect.DeepEqual(got.Claims, nothing(true)) {
		t.Errorf("came to %+v, want no claim but a gap, for all one knows", got)
	}
	if next, err := c.Next(); next != nil || err != nil {
		t.Fatal(next, err)
	}
	if got := c.Position().Claims; !reflect.DeepEqual(got, claim(30, false)) {
		t.Errorf("at the end it has %+v", got)
	}
	for what, claims := range map[string][]Claim{
		"no claim": nil, "a gap": {{Node: 1, At: first.At, Gap: true}}, "nothing yet": {{Node: 1}},
		"another life": {{Node: 1, At: place(first.At.Seq)}},
	} {
		if _, err := Resume(h.st, 1, Position{Node: 2, At: place(50), Claims: claims}); !errors.Is(err, ErrGone) {
			t.Errorf("%s: %v, want ErrGone", what, err)
		}
	}
}
