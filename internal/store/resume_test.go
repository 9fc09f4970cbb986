package store

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/futago/futago/internal/vfs"
)

// A segment that a restart goes on with, but that gets no further entry because the first one does not fit, is sealed
// like any other: otherwise the next start takes the log for damaged.
func TestRestartWithANearlyFullSegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConfig(1, vfs.Memory(), nil)
		c.SegmentSize = 4096
		big := strings.Repeat("v", 3000)
		s := open(t, c)
		set(t, s, "first", big)
		for n := range 3 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, c)
			set(t, s, "k"+string(rune('0'+n)), big)
			set(t, s, "more", big)
			s.Flush()
			if err := s.log.Sync(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, c)
		defer s.Close()
		for _, key := range []string{"first", "k0", "k1", "k2", "more"} {
			wantValue(t, s, key, big)
		}
	})
}
