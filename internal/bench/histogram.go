package bench

import (
	"math/bits"
	"time"
)

const (
	// subBits gives 64 buckets for each power of two: a quantile is at most 1/64 too high.
	subBits = 6
	sub     = 1 << subBits
	// maxExponent: a latency of 2^40 ns (18 minutes) or more lands in the last bucket.
	maxExponent = 40
	buckets     = (maxExponent - subBits + 1) * sub
)

// histogram counts durations in log-linear buckets. The zero value is empty and ready. Not safe for
// concurrent use.
type histogram struct {
	counts [buckets]uint64
	n      uint64
	sum    uint64 // ns
	max    uint64 // ns, exact
}

// record counts one duration of ns nanoseconds; a negative one, from a clock that stepped, counts as 0.
func (h *histogram) record(ns int64) {
	v := uint64(max(ns, 0))
	h.counts[bucket(v)]++
	h.n++
	h.sum += v
	h.max = max(h.max, v)
}

// bucket: values below sub have a bucket each; above, the top subBits bits after the leading one choose it.
func bucket(v uint64) int {
	if v < sub {
		return int(v)
	}
	exponent := bits.Len64(v) - 1 // >= subBits
	if exponent >= maxExponent {
		return buckets - 1
	}
	return (exponent-subBits+1)*sub + int(v>>(exponent-subBits))&(sub-1)
}

// bucketMax is the largest value that falls into bucket i.
func bucketMax(i int) uint64 {
	if i < sub {
		return uint64(i)
	}
	shift := i/sub - 1
	return (uint64(sub+i%sub)+1)<<shift - 1
}

func (h *histogram) add(o *histogram) {
	for i, c := range o.counts {
		h.counts[i] += c
	}
	h.n += o.n
	h.sum += o.sum
	h.max = max(h.max, o.max)
}

// quantile returns a duration that at least the share q (0 to 1) of all recorded ones do not exceed, at most
// 1/64 too high, and never above the largest recorded.
func (h *histogram) quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank := max(uint64(q*float64(h.n)+0.5), 1)
	var seen uint64
	for i, c := range h.counts[:buckets-1] {
		if seen += c; seen >= rank {
			return time.Duration(min(bucketMax(i), h.max))
		}
	}
	return time.Duration(h.max) // the last bucket has no bound
}

func (h *histogram) mean() time.Duration {
	if h.n == 0 {
		return 0
	}
	return time.Duration(h.sum / h.n)
}
