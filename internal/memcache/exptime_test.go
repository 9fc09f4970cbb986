package memcache

import (
	"math"
	"testing"
	"time"
)

func TestExptimeToUnixMilli(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_250)
	for _, c := range []struct {
		exptime int64
		ms      int64
		expired bool
	}{
		{0, 0, false},
		{1, 1_800_000_001_250, false},
		{2_592_000, 1_802_592_000_250, false},
		{2_592_001, 2_592_001_000, true},
		{1_799_999_999, 1_799_999_999_000, true},
		{1_800_000_000, 1_800_000_000_000, true},
		{1_800_000_001, 1_800_000_001_000, false},
		{math.MaxInt32, math.MaxInt32 * 1000, false},
		{-1, 1_800_000_000_250, true},
		{math.MinInt32, 1_800_000_000_250, true},
	} {
		ms, expired := ExptimeToUnixMilli(c.exptime, now)
		if ms != c.ms || expired != c.expired {
			t.Errorf("ExptimeToUnixMilli(%d) = %d, %v; want %d, %v", c.exptime, ms, expired, c.ms, c.expired)
		}
	}
}
