package tyrant

import (
	"math"
	"testing"
)

func TestDouble(t *testing.T) {
	const lowest, highest = math.MinInt64, math.MaxInt64
	tests := []struct {
		number float64
		wire   Double
		back   float64
	}{
		{0, Double{0, 0}, 0},
		{math.Copysign(0, -1), Double{0, 0}, 0},
		{1, Double{1, 0}, 1},
		{-1, Double{-1, 0}, -1},
		{-0.75, Double{0, -750_000_000_000}, -0.75},
		{1.75, Double{1, 750_000_000_000}, 1.75},
		{-1.75, Double{-1, -750_000_000_000}, -1.75},
		{1e-12, Double{0, 1}, 1e-12},
		{1.9e-12, Double{0, 1}, 1e-12},
		{-1.9e-12, Double{0, -1}, -1e-12},
		{9e-13, Double{0, 0}, 0},
		{math.SmallestNonzeroFloat64, Double{0, 0}, 0},
		{math.Nextafter(1, 0), Double{0, 999_999_999_999}, 0.999999999999},
		{1 << 53, Double{1 << 53, 0}, 1 << 53},
		{math.Nextafter(1<<63, 0), Double{1<<63 - 1024, 0}, 1<<63 - 1024},
		{math.Nextafter(-1<<63, 0), Double{-1<<63 + 1024, 0}, -1<<63 + 1024},
		{1 << 63, Double{highest, 0}, math.Inf(1)},
		{-1 << 63, Double{lowest, 0}, math.Inf(-1)},
		{1e300, Double{highest, 0}, math.Inf(1)},
		{-1e300, Double{lowest, 0}, math.Inf(-1)},
		{math.MaxFloat64, Double{highest, 0}, math.Inf(1)},
		{math.Inf(1), Double{highest, 0}, math.Inf(1)},
		{math.Inf(-1), Double{lowest, 0}, math.Inf(-1)},
		{math.NaN(), Double{lowest, lowest}, math.NaN()},
	}
	for _, tt := range tests {
		if got := DoubleOf(tt.number); got != tt.wire {
			t.Errorf("DoubleOf(%v): got %v, want %v", tt.number, got, tt.wire)
		}
		if got := tt.wire.Float64(); got != tt.back && !(math.IsNaN(got) && math.IsNaN(tt.back)) {
			t.Errorf("%v.Float64(): got %v, want %v", tt.wire, got, tt.back)
		}
	}
}

// What no DoubleOf makes is a number nevertheless.
func TestDoubleOfOthers(t *testing.T) {
	tests := []struct {
		wire Double
		want float64
	}{
		{Double{math.MaxInt64, 5}, math.Inf(1)},
		{Double{math.MaxInt64, math.MinInt64}, math.Inf(1)},
		{Double{math.MinInt64, 1}, math.Inf(-1)},
		{Double{0, math.MinInt64}, -9223372.036854775},
		{Double{1, -500_000_000_000}, 0.5},
		{Double{-1, 2_500_000_000_000}, 1.5},
	}
	for _, tt := range tests {
		if got := tt.wire.Float64(); got != tt.want {
			t.Errorf("%v.Float64(): got %v, want %v", tt.wire, got, tt.want)
		}
	}
}
