package bench

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestBucketBounds(t *testing.T) {
	last := -1
	for _, v := range []uint64{0, 1, 63, 64, 65, 127, 128, 129, 130, 1000, 1 << 20, 1<<20 + 1<<14, 1<<39 + 5, 1<<40 - 1} {
		i := bucket(v)
		if i < last {
			t.Errorf("bucket(%d) = %d, below the bucket %d of a smaller value", v, i, last)
		}
		last = i
		if hi := bucketMax(i); v > hi || float64(hi-v) > float64(v)/sub {
			t.Errorf("bucketMax(bucket(%d)) = %d, want at least the value and at most 1/%d more", v, hi, sub)
		}
		if i > 0 && bucketMax(i-1) >= v {
			t.Errorf("bucketMax(%d) = %d, want below %d, which is in the next bucket", i-1, bucketMax(i-1), v)
		}
	}
	for _, v := range []uint64{1 << 40, 1 << 50, 1<<64 - 1} {
		if got := bucket(v); got != buckets-1 {
			t.Errorf("bucket(%d) = %d, want the last one, %d", v, got, buckets-1)
		}
	}
}

func TestQuantile(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var h, half histogram
	var values []int64
	var sum int64
	for i := range 10_000 {
		v := int64(rng.ExpFloat64() * 1e6)
		values = append(values, v)
		sum += v
		if i%2 == 0 {
			h.record(v)
		} else {
			half.record(v)
		}
	}
	h.add(&half)
	slices.Sort(values)
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		want := values[max(int(q*float64(len(values))+0.5), 1)-1]
		got := int64(h.quantile(q))
		if got < want || got > want+want/sub+1 {
			t.Errorf("quantile(%g) = %d, want %d to 1/%d more", q, got, want, sub)
		}
	}
	if got, want := h.quantile(1), time.Duration(values[len(values)-1]); got != want {
		t.Errorf("quantile(1) = %d, want the largest value %d", got, want)
	}
	if got, want := h.mean(), time.Duration(sum/int64(len(values))); got != want {
		t.Errorf("mean = %d, want %d", got, want)
	}
}

func TestHistogramEdges(t *testing.T) {
	var h histogram
	if h.quantile(0.5) != 0 || h.mean() != 0 {
		t.Errorf("empty histogram: quantile %v, mean %v, want 0", h.quantile(0.5), h.mean())
	}
	h.record(-5)
	h.record(int64(time.Hour))
	if got := h.quantile(0.5); got != 0 {
		t.Errorf("quantile(0.5) with a negative and a huge value = %v, want 0", got)
	}
	if got := h.quantile(1); got != time.Hour {
		t.Errorf("quantile(1) = %v, want 1h, above the last bucket's bound", got)
	}
}
