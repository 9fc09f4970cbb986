package observe

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	// grain is the width of the first buckets, nanoseconds. From 0.5 µs on each power of two of time has four buckets, so that a
	// time is known within an eighth.
	grain = 125
	// octaves is how many powers of two there are; what takes longer, 16.8 s, is in the last bucket.
	octaves = 25
	buckets = 4 + 4*octaves + 1
)

// bucketOf is the bucket of a time in nanoseconds.
func bucketOf(nanos int64) int {
	v := uint64(max(nanos, 0)) / grain
	if v < 4 {
		return int(v)
	}
	octave := bits.Len64(v) - 3
	return min(4*octave+int(v>>octave), buckets-1)
}

// boundOf is where a bucket ends, in nanoseconds, exclusively; that of the last one is infinite.
func boundOf(bucket int) float64 {
	switch {
	case bucket >= buckets-1:
		return math.Inf(1)
	case bucket < 4:
		return float64(bucket+1) * grain
	}
	octave := bucket/4 - 1
	return float64((bucket%4+5)<<octave) * grain
}

// Histogram counts times. The zero value is empty. It must not be copied.
type Histogram struct {
	counts [buckets]atomic.Uint64
	sum    atomic.Uint64 // nanoseconds
}

// Observe counts one time.
func (h *Histogram) Observe(took time.Duration) {
	h.counts[bucketOf(int64(took))].Add(1)
	h.sum.Add(uint64(max(took, 0)))
}

// Times are the counts of histograms at one moment.
type Times struct {
	counts [buckets]uint64
	sum    uint64 // nanoseconds
}

// Add adds what a histogram holds now.
func (t *Times) Add(h *Histogram) {
	for i := range t.counts {
		t.counts[i] += h.counts[i].Load()
	}
	t.sum += h.sum.Load()
}

// Join adds other times.
func (t *Times) Join(other *Times) {
	for i := range t.counts {
		t.counts[i] += other.counts[i]
	}
	t.sum += other.sum
}

// Since returns what came after an earlier moment of the same histograms.
func (t *Times) Since(earlier *Times) Times {
	var d Times
	for i := range t.counts {
		d.counts[i] = t.counts[i] - min(earlier.counts[i], t.counts[i])
	}
	d.sum = t.sum - min(earlier.sum, t.sum)
	return d
}

// Count is how many times there are.
func (t *Times) Count() (n uint64) {
	for _, c := range t.counts {
		n += c
	}
	return n
}

// Sum is what they make together.
func (t *Times) Sum() time.Duration { return time.Duration(min(t.sum, math.MaxInt64)) }

// Quantile is the time in seconds below which a share of them lies, 0 to 1; NaN when there are none. It is interpolated within its
// bucket; of the last bucket it is the beginning.
func (t *Times) Quantile(share float64) float64 {
	n := t.Count()
	if n == 0 {
		return math.NaN()
	}
	rank, below := share*float64(n), 0.0
	for i, c := range t.counts {
		if c == 0 || below+float64(c) < rank {
			below += float64(c)
			continue
		}
		low := 0.0
		if i > 0 {
			low = boundOf(i - 1)
		}
		if i == buckets-1 {
			return low / 1e9
		}
		return (low + (boundOf(i)-low)*max(rank-below, 0)/float64(c)) / 1e9
	}
	return math.NaN() // a share above 1
}

// Cumulative are the counts below each power of two from 1 µs to 8.4 s, by that bound in seconds, as Prometheus wants them.
func (t *Times) Cumulative() map[float64]uint64 {
	below, n := make(map[float64]uint64, octaves), uint64(0)
	for i, c := range t.counts[:buckets-1] {
		n += c
		if bound := boundOf(i); i%4 == 3 && i > 4 && i < buckets-2 {
			below[bound/1e9] = n
		}
	}
	return below
}
