package store

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/futago/futago/internal/vfs"
)

// A compaction must free something: the small segment that it leaves is mostly spare room, and must not be copied over
// and over.
func TestCompactionComesToAnEnd(t *testing.T) {
	for _, size := range []int64{4096, 64 << 10, 256 << 10} {
		synctest.Test(t, func(t *testing.T) {
			c := testConfig(1, vfs.Memory(), nil)
			c.SegmentSize, c.CompactRate = size, 1<<40
			s := open(t, c)
			defer s.Close()
			value := strings.Repeat("v", 500)
			set(t, s, "early", value)
			for range 5 * size / 500 {
				set(t, s, "k", value)
			}
			s.Flush()
			if err := s.log.Sync(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // until what is full is sealed
			runs := 0
			for s.CompactOnce() {
				if runs++; runs > 100 {
					t.Fatalf("segment size %d: %d compactions in a row, the log has %d bytes, %d live", size, runs, s.Stats().LogBytes, s.Stats().Bytes)
				}
			}
			if runs == 0 {
				t.Fatalf("segment size %d: nothing was compacted, the log has %d bytes, %d live", size, s.Stats().LogBytes, s.Stats().Bytes)
			}
			wantValue(t, s, "early", value)
		})
	}
}
