package store

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/futago/futago/internal/vfs"
)

// Live data that the peer has is not kept for it: however much there is, what the peer still needs stays within its own
// bound.
func TestLiveDataDoesNotUseUpTheRetainedLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConfig(1, vfs.Memory(), nil)
		c.SegmentSize, c.CompactRate, c.LogRetain = 16<<10, 1<<40, 128<<10
		s := open(t, c)
		defer s.Close()
		value := strings.Repeat("v", 1000)
		for i := range 1000 {
			set(t, s, fmt.Sprint("live", i), value)
		}
		position := s.log.End()
		s.Retain(2, position.Seq)
		for range 60 { // half of what may be retained, all but one dead
			set(t, s, "k", value)
		}
		s.Flush()
		if err := s.log.Sync(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // until what is full is sealed
		for s.CompactOnce() {
		}
		r, err := s.log.ReadAfter(position)
		if err != nil {
			t.Fatalf("the peer cannot go on where it stopped: %v", err)
		}
		r.Close()
	})
}

// What is kept for a peer is not once it is released.
func TestRelease(t *testing.T) {
	s := open(t, testConfig(1, vfs.Memory(), nil))
	defer s.Close()
	set(t, s, "k", "v")
	s.Retain(-7, 0)
	if point := s.retentionPoint(); point != 0 {
		t.Errorf("kept from %d on, want from 0 on", point)
	}
	s.Release(-7)
	if point, last := s.retentionPoint(), s.log.Last(); point != last {
		t.Errorf("kept from %d on, want from %d on", point, last)
	}
}
