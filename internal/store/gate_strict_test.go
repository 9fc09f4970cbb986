package store

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/futago/futago/internal/vfs"
)

// join links a peer that has everything.
func join(s *Store, peer int) {
	s.Linked(peer, true)
	s.Confirm(peer, s.Log().Written())
}

// A silent peer: each write fails after the timeout, measured from the write, and what is confirmed in time does not.
func TestStrictFailsAfterTheTimeout(t *testing.T) {
	gateBubble(t, LevelStrict, func(t *testing.T, s *Store, write func() uint64) {
		join(s, 2)
		var heard atomic.Int64
		defer s.OnPass(func() { heard.Add(1) })()
		good := write()
		time.Sleep(gateTimeout / 2)
		first, begin := write(), time.Now()
		time.Sleep(gateTimeout / 4)
		s.Confirm(2, good)
		second := write()
		check := func(seq uint64, begun time.Time) {
			t.Helper()
			err := s.Wait(t.Context(), seq)
			if took := time.Since(begun); !errors.Is(err, ErrUnconfirmed) || took < gateTimeout || took > gateTimeout*9/8 {
				t.Errorf("write %d: %v after %v, want %v after %v", seq, err, took, ErrUnconfirmed, gateTimeout)
			}
			if ok, err := s.Passed(seq); ok || !errors.Is(err, ErrUnconfirmed) {
				t.Errorf("write %d: passed %v, %v, want %v", seq, ok, err, ErrUnconfirmed)
			}
		}
		wantPassed(t, s, good, true, "confirmed in time")
		wantPassed(t, s, first, false, "still in time")
		heard.Store(0)
		check(first, begin)
		if heard.Load() == 0 {
			t.Error("nobody was told of the failure")
		}
		wantPassed(t, s, second, false, "still in time")
		check(second, begin.Add(gateTimeout/4))
		third := write()
		check(third, time.Now()) // not at once: the peer may be back
		fourth := write()
		time.Sleep(gateTimeout / 2)
		s.Confirm(2, fourth)
		wantPassed(t, s, fourth, true, "the peer is back")
		wantPassed(t, s, third, true, "known to be at the peer after all")
	})
}

// A link that closes fails what waits at once; from then on nothing is begun.
func TestStrictFailsWithTheLink(t *testing.T) {
	for _, end := range []func(*Store){
		func(s *Store) { s.Linked(2, false) },
		func(s *Store) { s.Behind(2) },
	} {
		gateBubble(t, LevelStrict, func(t *testing.T, s *Store, write func() uint64) {
			join(s, 2)
			good := write()
			s.Confirm(2, good)
			seq, begin := write(), time.Now()
			unwritten := set(t, s, "k", "unwritten").Seq
			failed := make(chan error)
			go func() { failed <- s.Wait(t.Context(), seq) }()
			synctest.Wait()
			end(s)
			if err := <-failed; !errors.Is(err, ErrUnconfirmed) || time.Since(begin) != 0 {
				t.Errorf("the waiting write: %v after %v, want %v at once", err, time.Since(begin), ErrUnconfirmed)
			}
			s.Flush() // of what was executed before the end, and is written after it
			if _, err := s.Passed(unwritten); !errors.Is(err, ErrUnconfirmed) {
				t.Errorf("a write that was under way: %v, want %v", err, ErrUnconfirmed)
			}
			wantPassed(t, s, good, true, "confirmed before")
			wantRefused(t, s)
		})
	}
}

// wantRefused expects that no write is begun, of whatever kind.
func wantRefused(t *testing.T, s *Store) {
	t.Helper()
	last, refused := s.Log().Last(), s.Acknowledgement().Refused
	n := uint64(0)
	for op := Set; op <= Touch; op++ {
		if err := s.Commit(&Request{Op: op, Key: []byte("k"), Value: []byte("1")}, &Result{}); !errors.Is(err, ErrNoPeer) {
			t.Errorf("op %d: %v, want %v", op, err, ErrNoPeer)
		}
		n++
	}
	if _, err := s.FlushAll(0); !errors.Is(err, ErrNoPeer) {
		t.Errorf("flush: %v, want %v", err, ErrNoPeer)
	}
	a := s.Acknowledgement()
	if got := a.Refused - refused; got != n+1 {
		t.Errorf("refused: counted %d, want %d", got, n+1)
	}
	if a.Refusal != ErrNoPeer.Error() || s.Stats().Refusal != ErrNoPeer.Error() || a.Solo {
		t.Errorf("status: %+v, store %q", a, s.Stats().Refusal)
	}
	if now := s.Log().Last(); now != last {
		t.Errorf("the log grew from %d to %d", last, now)
	}
}

// Nothing is begun before a peer can confirm it: not alone, not beside a snapshot. One whole peer is enough.
func TestStrictRefusesWithoutAPeer(t *testing.T) {
	gateBubble(t, LevelStrict, func(t *testing.T, s *Store, write func() uint64) {
		wantRefused(t, s)
		s.Behind(2)
		s.Linked(2, true)
		wantRefused(t, s)
		s.Linked(3, true)
		seq := write()
		s.Confirm(3, seq)
		wantPassed(t, s, seq, true, "at peer 3")
		s.Linked(3, false)
		wantRefused(t, s)
		s.Confirm(2, s.Log().Written()) // whole
		if seq = write(); s.Acknowledgement().Refusal != "" {
			t.Errorf("refused with a whole peer: %q", s.Acknowledgement().Refusal)
		}
		s.Confirm(2, seq)
		wantPassed(t, s, seq, true, "at peer 2")
	})
}

// With several peers a write fails only when all of them are silent or gone.
func TestStrictWithSeveralPeers(t *testing.T) {
	gateBubble(t, LevelStrict, func(t *testing.T, s *Store, write func() uint64) {
		join(s, 2)
		join(s, 3)
		first := write()
		s.Linked(2, false)
		wantPassed(t, s, first, false, "one of two links is closed")
		time.Sleep(gateTimeout / 2)
		s.Confirm(3, first)
		wantPassed(t, s, first, true, "at the other one")
		join(s, 2)
		second := write()
		time.Sleep(gateTimeout * 9 / 8)
		if _, err := s.Passed(second); !errors.Is(err, ErrUnconfirmed) {
			t.Errorf("both silent: %v, want %v", err, ErrUnconfirmed)
		}
		third := write()
		s.Linked(3, false)
		s.Linked(2, false)
		if _, err := s.Passed(third); !errors.Is(err, ErrUnconfirmed) {
			t.Errorf("both gone: %v, want %v", err, ErrUnconfirmed)
		}
	})
}

// What each level means, whatever the node's own is.
func TestLevels(t *testing.T) {
	situations := map[string]func(t *testing.T, s *Store, write func() uint64){
		"alone": func(*testing.T, *Store, func() uint64) {},
		"paired": func(_ *testing.T, s *Store, _ func() uint64) {
			join(s, 2)
		},
		"silent": func(_ *testing.T, s *Store, write func() uint64) {
			join(s, 2)
			write()
			time.Sleep(2 * gateTimeout)
		},
	}
	type outcome struct {
		begun   error // of Commit
		reached Level
		err     error // of WaitAt
	}
	want := map[string]map[Level]outcome{
		"alone":  {LevelLocal: {reached: LevelLocal}, LevelPeer: {reached: LevelLocal}, LevelStrict: {begun: ErrNoPeer}},
		"paired": {LevelLocal: {reached: LevelLocal}, LevelPeer: {reached: LevelPeer}, LevelStrict: {reached: LevelPeer}},
		"silent": {LevelLocal: {reached: LevelLocal}, LevelPeer: {reached: LevelLocal}, LevelStrict: {err: ErrUnconfirmed}},
	}
	for _, node := range []Level{LevelLocal, LevelPeer, LevelStrict} {
		for name, arrange := range situations {
			for _, asked := range []Level{DefaultLevel, LevelLocal, LevelPeer, LevelStrict} {
				gateBubble(t, node, func(t *testing.T, s *Store, write func() uint64) {
					arrange(t, s, write)
					if s.Level() != node {
						t.Fatalf("Level: got %v, want %v", s.Level(), node)
					}
					level := asked
					if asked == DefaultLevel {
						level = node
					}
					w := want[name][level]
					var res Result
					err := s.Commit(&Request{Op: Set, Key: []byte("k"), Level: asked}, &res)
					if !errors.Is(err, w.begun) {
						t.Errorf("node %v, %s, asked %d: Commit: %v, want %v", node, name, asked, err, w.begun)
					}
					if err != nil {
						return
					}
					s.Flush()
					if name == "paired" {
						if got, err := s.Reached(res.Seq, asked); level != LevelLocal && (got != DefaultLevel || err != nil) {
							t.Errorf("node %v, asked %d: reached %v, %v before the peer has it", node, asked, got, err)
						}
						go s.Confirm(2, res.Seq)
					}
					ctx, cancel := context.WithTimeout(t.Context(), 2*gateTimeout)
					defer cancel()
					got, err := s.WaitAt(ctx, res.Seq, asked)
					if got != w.reached || !errors.Is(err, w.err) {
						t.Errorf("node %v, %s, asked %d: got %d, %v, want %d, %v", node, name, asked, got, err, w.reached, w.err)
					}
					if again, _ := s.Reached(res.Seq, asked); again != got {
						t.Errorf("node %v, %s, asked %d: Reached says %d behind WaitAt's %d", node, name, asked, again, got)
					}
				})
			}
		}
	}
}

func TestParseLevel(t *testing.T) {
	for _, l := range []Level{LevelLocal, LevelPeer, LevelStrict} {
		if got, ok := ParseLevel(l.String()); got != l || !ok {
			t.Errorf("ParseLevel(%q): got %v, %v", l, got, ok)
		}
	}
	for _, name := range []string{"", "Peer", "peer ", "none"} {
		if got, ok := ParseLevel(name); got != DefaultLevel || ok {
			t.Errorf("ParseLevel(%q): got %v, %v, want none", name, got, ok)
		}
	}
}

// The log tells both edges of a time in which writes are acknowledged alone, or fail.
func TestGateTellsTheLog(t *testing.T) {
	for level, want := range map[Level][]string{
		LevelLocal: nil,
		LevelPeer: {
			"solo ended: writes are acknowledged by the peer",
			"solo: writes are acknowledged without the peer", "solo ended: writes are acknowledged by the peer",
			"solo: writes are acknowledged without the peer",
		},
		LevelStrict: {
			"writes are confirmed by a peer",
			"writes fail: no peer confirms them", "writes are confirmed by a peer",
			"writes are refused: no peer can confirm them",
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			c := testConfig(1, vfs.Memory(), nil)
			c.AckPeer, c.AckStrict, c.AckTimeout = level == LevelPeer, level == LevelStrict, gateTimeout
			c.Logger = slog.New(slog.NewTextHandler(&out, nil))
			s := open(t, c)
			join(s, 2)
			set(t, s, "k", "v")
			s.Flush()
			time.Sleep(2 * gateTimeout)
			s.Confirm(2, s.Log().Written())
			s.Linked(2, false)
			s.Close()
			var got []string
			for line := range strings.Lines(out.String()) {
				if _, text, ok := strings.Cut(line, "msg="); ok && strings.Contains(text, "writes") {
					text, _, _ = strings.Cut(strings.TrimPrefix(text, `"`), `"`)
					got = append(got, text)
				}
			}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("%v: the log says\n%s\nwant\n%s", level, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}
