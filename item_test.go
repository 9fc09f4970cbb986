package futago

import (
	"math"
	"testing"
	"time"
)

func TestExptime(t *testing.T) {
	now := time.Unix(1_763_900_000, 999)
	const day = 24 * time.Hour
	tests := []struct {
		d    time.Duration
		want int64
	}{
		{0, 0},
		{-1, -1},
		{-day, -1},
		{1, 1},
		{time.Second, 1},
		{time.Second + 1, 2},
		{time.Minute, 60},
		{30 * day, 2_592_000},
		{30*day + 1, 1_763_900_000 + 2_592_001},
		{365 * day, 1_763_900_000 + 365*86_400},
		{math.MaxInt64, math.MaxInt32},
	}
	for _, tt := range tests {
		if got := exptime(tt.d, now); got != tt.want {
			t.Errorf("exptime(%v): got %d, want %d", tt.d, got, tt.want)
		}
	}
}
