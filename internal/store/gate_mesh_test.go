package store

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/futago/futago/internal/vfs"
)

// gateTimeout is the ack-timeout of the stores below, in the time of a synctest bubble.
const gateTimeout = 320 * time.Millisecond

// gateBubble runs a test with a store at a level, inside a bubble.
func gateBubble(t *testing.T, level Level, test func(t *testing.T, s *Store, write func() uint64)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := testConfig(1, vfs.Memory(), nil)
		c.AckPeer, c.AckStrict, c.AckTimeout = level == LevelPeer, level == LevelStrict, gateTimeout
		s := open(t, c)
		defer s.Close()
		test(t, s, func() uint64 {
			t.Helper()
			seq := set(t, s, "k", "v").Seq
			s.Flush()
			return seq
		})
	})
}

func wantPassed(t *testing.T, s *Store, seq uint64, want bool, when string) {
	t.Helper()
	if got, err := s.Passed(seq); got != want || err != nil {
		t.Fatalf("%s: write %d passed: %v, %v, want %v", when, seq, got, err, want)
	}
}

func wantSolo(t *testing.T, s *Store, want bool, when string) {
	t.Helper()
	if a := s.Acknowledgement(); a.Solo != want {
		t.Fatalf("%s: solo %v (%s), want %v", when, a.Solo, a.SoloReason, want)
	}
}

// Any one peer is enough, whichever it is, and solo begins when the last one has gone.
func TestAnyPeerConfirms(t *testing.T) {
	gateBubble(t, LevelPeer, func(t *testing.T, s *Store, write func() uint64) {
		s.Linked(2, true)
		s.Linked(3, true)
		s.Confirm(3, s.Log().Written())
		wantSolo(t, s, false, "one of two has all")
		first := write()
		wantPassed(t, s, first, false, "nobody has it")
		s.Confirm(2, first)
		wantPassed(t, s, first, true, "at peer 2")
		second := write()
		s.Confirm(3, second)
		wantPassed(t, s, second, true, "at peer 3, which is ahead of peer 2")
		third := write()
		s.Linked(3, false)
		wantSolo(t, s, false, "peer 2 is left")
		wantPassed(t, s, third, false, "peer 3 left without it")
		s.Confirm(2, second)
		wantPassed(t, s, third, false, "peer 2 lags")
		s.Confirm(2, third)
		wantPassed(t, s, third, true, "at peer 2")
		s.Confirm(3, write())
		wantPassed(t, s, s.Log().Written(), false, "confirmed by a peer that is not linked")
		s.Linked(2, false)
		wantSolo(t, s, true, "nobody is left")
		wantPassed(t, s, s.Log().Written(), true, "solo")
	})
}

// What a peer confirmed on an earlier link counts for nobody on the present one, beside other peers too.
func TestConfirmedCountsForThePresentLinkOfEachPeer(t *testing.T) {
	gateBubble(t, LevelPeer, func(t *testing.T, s *Store, write func() uint64) {
		s.Linked(2, true)
		s.Linked(3, true)
		s.Confirm(3, s.Log().Written())
		s.Confirm(2, write())
		s.Linked(2, true) // anew, before the end of the old link was seen
		if got := s.Acknowledgement().Confirmed; got >= s.Log().Written() {
			t.Fatalf("confirmed %d although peer 2 may have lost it and peer 3 has not got it", got)
		}
		seq := write()
		s.Confirm(3, seq)
		wantPassed(t, s, seq, true, "at peer 3")
	})
}

// A peer that takes a snapshot does not count until it is whole; others do meanwhile.
func TestPeerBehindDoesNotCount(t *testing.T) {
	gateBubble(t, LevelPeer, func(t *testing.T, s *Store, write func() uint64) {
		s.Linked(2, true)
		s.Confirm(2, write())
		s.Behind(3)
		s.Linked(3, true)
		wantSolo(t, s, false, "a second peer takes a snapshot")
		seq := write()
		wantPassed(t, s, seq, false, "nobody has it")
		s.Confirm(2, seq)
		wantPassed(t, s, seq, true, "at peer 2")
		s.Linked(2, false)
		wantSolo(t, s, true, "only a peer with half a snapshot is left")
		if why := s.Acknowledgement().SoloReason; why != "peer takes a snapshot" {
			t.Errorf("reason %q", why)
		}
		write()
		for range 4 {
			time.Sleep(gateTimeout)
			wantSolo(t, s, true, "the snapshot goes on")
		}
		s.Confirm(3, s.Log().Written())
		wantSolo(t, s, false, "the snapshot is whole")
		s.Behind(3)
		wantSolo(t, s, true, "another snapshot on a new link")
	})
}

// All peers must be silent before a node is solo; one that is quick is enough to go on.
func TestOneSilentPeerOfTwo(t *testing.T) {
	gateBubble(t, LevelPeer, func(t *testing.T, s *Store, write func() uint64) {
		s.Linked(2, true)
		s.Linked(3, true)
		s.Confirm(2, write())
		for range 40 { // peer 3 says nothing
			seq := write()
			time.Sleep(gateTimeout / 4)
			s.Confirm(2, seq)
			wantSolo(t, s, false, "peer 2 confirms in time")
		}
		write()
		time.Sleep(gateTimeout * 5 / 4)
		wantSolo(t, s, true, "both are silent")
		s.Confirm(3, s.Log().Written())
		wantSolo(t, s, false, "the other one has all")
	})
}

// A peer that falls silent is not taken for one that keeps up because of what it confirmed in an earlier solo time.
func TestSoloLastsBesideASilentPeer(t *testing.T) {
	gateBubble(t, LevelPeer, func(t *testing.T, s *Store, write func() uint64) {
		write()
		s.Linked(2, true)
		time.Sleep(gateTimeout / 2) // a probe is taken
		s.Confirm(2, s.Log().Written())
		wantSolo(t, s, false, "the peer has all")
		write()
		time.Sleep(gateTimeout * 5 / 4)
		wantSolo(t, s, true, "the peer is silent")
		for range 64 {
			time.Sleep(gateTimeout / 16)
			wantSolo(t, s, true, "the peer is silent still")
		}
	})
}

// A peer that confirms everything, but each write later than the timeout, does not end a solo time under load.
func TestSoloLastsBesideAPeerThatIsTooSlow(t *testing.T) {
	gateBubble(t, LevelPeer, func(t *testing.T, s *Store, write func() uint64) {
		s.Linked(2, true)
		const lag = 20 // steps, of the sixteen of a timeout
		var seqs []uint64
		for range 200 {
			seqs = append(seqs, write())
			if n := len(seqs); n > lag {
				s.Confirm(2, seqs[n-1-lag])
			}
			time.Sleep(gateTimeout / 16)
			wantSolo(t, s, true, "the peer is slow")
		}
	})
}

// A peer whose link comes and goes does not keep a node solo that another one keeps up with under load.
func TestFlappingPeerBesideOneThatKeepsUp(t *testing.T) {
	gateBubble(t, LevelPeer, func(t *testing.T, s *Store, write func() uint64) {
		s.Linked(2, true)
		var seqs []uint64
		for range 200 {
			seqs = append(seqs, write())
			if n := len(seqs); n > 10 {
				s.Confirm(2, seqs[n-11])
			}
			s.Linked(3, len(seqs)%2 == 0)
			time.Sleep(gateTimeout / 16)
			if !s.Acknowledgement().Solo {
				return
			}
		}
		t.Fatal("still solo with a peer that confirms everything in time")
	})
}

// Of two nodes the follower must wait for Joined; of three it is told when the node was last alone.
func TestJoined(t *testing.T) {
	gateBubble(t, LevelLocal, func(t *testing.T, s *Store, write func() uint64) {
		write()
		if seq, ok := s.Joined(); seq != 0 || !ok {
			t.Errorf("local: got %d, %v, want 0, true", seq, ok)
		}
	})
	for _, level := range []Level{LevelPeer, LevelStrict} {
		gateBubble(t, level, func(t *testing.T, s *Store, write func() uint64) {
			if _, ok := s.Joined(); ok {
				t.Errorf("%v: joined without a peer", level)
			}
			s.Linked(2, true)
			if _, ok := s.Joined(); ok {
				t.Errorf("%v: joined before the peer has all", level)
			}
			end := write()
			s.Confirm(2, end)
			if seq, ok := s.Joined(); seq != end || !ok {
				t.Errorf("%v: got %d, %v, want %d, true", level, seq, ok, end)
			}
			s.Confirm(2, write())
			s.Behind(3)
			s.Linked(3, true)
			s.Confirm(3, s.Log().Written())
			s.Linked(2, false)
			if seq, ok := s.Joined(); seq != end || !ok {
				t.Errorf("%v, another peer took over: got %d, %v, want %d, true", level, seq, ok, end)
			}
			s.Linked(3, false)
			if _, ok := s.Joined(); ok {
				t.Errorf("%v: joined without a peer", level)
			}
		})
	}
}

// The figures of solo times, and that they are told at both edges.
func TestSoloIsTold(t *testing.T) {
	gateBubble(t, LevelPeer, func(t *testing.T, s *Store, write func() uint64) {
		begin := time.Now()
		time.Sleep(time.Second)
		a := s.Acknowledgement()
		if a.Mode != "peer" || a.SoloCount != 1 || a.SoloSeconds != 1 || !a.SoloSince.Equal(begin) || a.SoloReason != "no peer has connected yet" {
			t.Errorf("at the start: %+v", a)
		}
		s.Linked(2, true)
		s.Confirm(2, write())
		time.Sleep(time.Second)
		if a = s.Acknowledgement(); a.Solo || a.SoloCount != 1 || a.SoloSeconds != 1 || !a.SoloSince.IsZero() || a.SoloReason != "" {
			t.Errorf("with a peer: %+v", a)
		}
		s.Linked(2, false)
		time.Sleep(time.Second)
		if a = s.Acknowledgement(); !a.Solo || a.SoloCount != 2 || a.SoloSeconds != 2 || time.Since(a.SoloSince) != time.Second {
			t.Errorf("alone again: %+v", a)
		}
	})
}
