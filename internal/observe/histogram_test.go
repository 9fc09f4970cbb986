package observe

import (
	"math"
	"testing"
	"time"
)

// Every time lies below the bound of its bucket and not below that of the one before, and a bucket is at most a quarter of its time wide.
func TestBuckets(t *testing.T) {
	for nanos := int64(0); nanos < int64(20*time.Second); nanos += 1 + nanos/50 {
		i := bucketOf(nanos)
		low := 0.0
		if i > 0 {
			low = boundOf(i - 1)
		}
		if v := float64(nanos); v < low || v >= boundOf(i) {
			t.Fatalf("%d ns: bucket %d is from %v to %v", nanos, i, low, boundOf(i))
		}
		if width := boundOf(i) - low; low >= 500 && !math.IsInf(width, 1) && width > low/4 {
			t.Fatalf("%d ns: bucket %d from %v is %v wide", nanos, i, low, width)
		}
	}
	if bucketOf(-1) != 0 || bucketOf(math.MaxInt64) != buckets-1 {
		t.Errorf("extremes: got %d and %d", bucketOf(-1), bucketOf(math.MaxInt64))
	}
}

func TestTimes(t *testing.T) {
	var h Histogram
	var before, now Times
	h.Observe(time.Hour)
	before.Add(&h)
	for i := range 1000 {
		h.Observe(time.Duration(i+1) * time.Microsecond)
	}
	now.Add(&h)
	d := now.Since(&before)
	if d.Count() != 1000 || d.Sum() != 500500*time.Microsecond {
		t.Errorf("got %d times that make %v, want 1000 and 500.5ms", d.Count(), d.Sum())
	}
	for share, want := range map[float64]float64{0.001: 1e-6, 0.5: 500e-6, 0.99: 990e-6, 1: 1000e-6} {
		if got := d.Quantile(share); math.Abs(got-want) > want/8+0.2e-6 {
			t.Errorf("quantile %v: got %v, want %v", share, got, want)
		}
	}
	if got := before.Quantile(0.5); got < 8 || math.IsInf(got, 0) {
		t.Errorf("quantile of what is beyond all buckets: got %v", got)
	}
	if got := new(Times).Quantile(0.5); !math.IsNaN(got) {
		t.Errorf("quantile of nothing: got %v", got)
	}
	below := now.Cumulative()
	if len(below) != 24 || below[0.001024] != 1000 || below[1e-6] != 0 || below[0.000512] != 511 {
		t.Errorf("cumulative: got %v", below)
	}
	twice := d
	twice.Join(&d)
	if twice.Count() != 2000 || twice.Sum() != 2*d.Sum() {
		t.Errorf("joined: got %d, %v", twice.Count(), twice.Sum())
	}
}
