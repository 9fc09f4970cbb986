package store

import (
	"testing"
	"time"

	"github.com/futago/futago/internal/vfs"
)

// gateStore is a store whose gate a test steps by hand.
func gateStore(t *testing.T) (s *Store, step func(d time.Duration), write func() uint64) {
	c := testConfig(1, vfs.Memory(), nil)
	c.AckPeer, c.AckTimeout = true, time.Hour
	s = open(t, c)
	t.Cleanup(func() { s.Close() })
	now := time.Now()
	step = func(d time.Duration) {
		now = now.Add(d)
		s.gate.step(now)
	}
	write = func() uint64 {
		seq := set(t, s, "k", "v").Seq
		s.Flush()
		return seq
	}
	return s, step, write
}

// A peer that comes back ends the solo time only when it has what was written meanwhile: neither what it confirmed on an
// earlier link counts, nor what was the end of the log in an earlier solo time.
func TestSoloLastsUntilAReturningPeerHasTheEnd(t *testing.T) {
	s, step, write := gateStore(t)
	write()
	s.Linked(2, true)
	step(time.Second)
	before := write()
	s.Confirm(2, before)
	if s.Acknowledgement().Solo {
		t.Fatal("solo although the peer has all")
	}
	s.Linked(2, false)
	missed := write()

	s.Linked(2, true) // with an empty disk, say
	for range 3 {
		step(time.Second)
		write()
	}
	if !s.Acknowledgement().Solo {
		t.Fatal("not solo although the peer has confirmed nothing since it came back")
	}
	s.Confirm(2, before)
	for range 3 {
		step(time.Second)
		write()
	}
	if !s.Acknowledgement().Solo {
		t.Fatalf("not solo although the peer has confirmed %d of %d only", before, missed)
	}
	s.Confirm(2, write())
	if s.Acknowledgement().Solo {
		t.Fatal("solo although the peer has all")
	}
}

// Under load no confirmation ever meets the end of the log. A peer that confirms each write within the timeout ends the
// solo time all the same, however far away it is.
func TestSoloEndsUnderLoadWithASlowPeer(t *testing.T) {
	s, step, write := gateStore(t)
	s.Linked(2, true)
	const lag = 12 // steps, of the sixteen of a timeout
	var ends []uint64
	for range 64 {
		ends = append(ends, write())
		if len(ends) > lag {
			s.Confirm(2, ends[len(ends)-1-lag])
		}
		step(time.Hour / 16)
		if !s.Acknowledgement().Solo {
			return
		}
	}
	t.Fatal("still solo with a peer that confirms everything in time")
}
