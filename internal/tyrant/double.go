package tyrant

import (
	"encoding/binary"
	"math"
)

// Double is a number of adddouble as it is on the wire.
type Double struct {
	// Integer is the integer part. Its ends stand for infinities.
	Integer int64
	// Fraction is the rest in 10^-12, with the sign of the number.
	Fraction int64
}

// fractions is how many of them make 1.
const fractions = 1e12

// DoubleOf cuts the fraction toward zero. A number beyond 64 bits is an infinity; in C that conversion is undefined, and
// on x86-64 the original makes negative infinity of either sign.
func DoubleOf(f float64) Double {
	switch {
	case math.IsNaN(f):
		return Double{math.MinInt64, math.MinInt64}
	case f >= 1<<63:
		return Double{math.MaxInt64, 0}
	case f < -1<<63:
		return Double{math.MinInt64, 0}
	}
	integer, fraction := math.Modf(f)
	return Double{int64(integer), int64(fraction * fractions)}
}

// Float64 returns the number. For an infinity the fraction says nothing, as in the original.
func (d Double) Float64() float64 {
	switch {
	case d.Integer == math.MinInt64 && d.Fraction == math.MinInt64:
		return math.NaN()
	case d.Integer == math.MaxInt64:
		return math.Inf(1)
	case d.Integer == math.MinInt64:
		return math.Inf(-1)
	}
	return float64(d.Integer) + float64(d.Fraction)/fractions
}

// decodeDouble reads the first 16 bytes.
func decodeDouble(b []byte) Double {
	return Double{int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))}
}

func appendDouble(dst []byte, d Double) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(d.Integer))
	return binary.BigEndian.AppendUint64(dst, uint64(d.Fraction))
}
