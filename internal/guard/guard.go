// Package guard measures the hot paths so that a busy machine, or another one, gives nearly the same figure: benchmarks
// whose names begin with BenchmarkHot call Measure, and scripts/guard compares what they report with a baseline. Only tests
// import it.
package guard

import (
	"math"
	"testing"
	"time"
)

// TimeUnit is the unit of a time that is expressed in terms of the calibration: thousandths of one pass of it.
const TimeUnit = "cal/op"

const (
	// pieceTime is how long a piece is at least: far above what reading the clock takes, far below what the system lets
	// another process run before it comes back. So some pieces are undisturbed on a machine that is never idle.
	pieceTime = 20 * time.Microsecond
	// leastTime is how long pieces are measured at least: long enough that other work on the same core comes and goes.
	leastTime = 30 * time.Millisecond
	// warmUp is how many operations come first, so that buffers have grown.
	warmUp = 32
)

// Measure runs op in pieces, with a pass of the calibration behind each one. It reports the fastest piece as ns/op, and
// divided by the fastest pass as cal/op. Allocations are those of b.N operations behind a few first ones; more follow until there were
// enough pieces.
//
// What makes a whole machine slower, a lower clock or a neighbour on the same core, makes both slower; what interrupts is
// in neither.
func Measure(b *testing.B, op func()) {
	b.ReportAllocs()
	m := measurement{op: op, size: 1, fastest: math.Inf(1), pass: math.Inf(1)}
	for range warmUp {
		op()
	}
	b.ResetTimer()
	for left := b.N; left > 0; {
		left -= m.piece(left)
	}
	b.StopTimer()
	for m.took < leastTime {
		m.piece(math.MaxInt)
	}
	b.ReportMetric(m.fastest, "ns/op")
	b.ReportMetric(1000*m.fastest/m.pass, TimeUnit)
}

// measurement is what pieces have shown.
type measurement struct {
	op            func()
	size          int           // operations of a piece; doubled until they take pieceTime
	took          time.Duration // by all pieces
	fastest, pass float64       // ns of the fastest operation, and pass of the calibration
	calibration   calibration
}

// piece runs at most n operations, and a pass. It returns how many operations they were.
func (m *measurement) piece(n int) int {
	n = min(n, m.size)
	begun := time.Now()
	for range n {
		m.op()
	}
	took := time.Since(begun)
	m.took += took
	if took < pieceTime {
		if n == m.size {
			m.size *= 2
		}
		return n
	}
	m.fastest = min(m.fastest, float64(took)/float64(n))
	begun = time.Now()
	m.calibration.pass()
	m.pass = min(m.pass, float64(time.Since(begun)))
	return n
}

// calibration is work on a fixed set that no change of futago changes: bytes copied, and hashed in lanes that do not wait for
// each other, so that like most code it is slower when a neighbour uses the same core. Changing it makes every baseline
// worthless.
type calibration struct {
	from, to [16 << 10]byte
	hash     uint64
}

// pass takes some 5 microseconds.
func (c *calibration) pass() {
	const prime = 1099511628211 // of FNV-1a
	copy(c.to[:], c.from[:])
	h, i, j, k := c.hash, c.hash+1, c.hash+2, c.hash+3
	for b := c.to[:8<<10]; len(b) >= 8; b = b[8:] {
		h = (h ^ uint64(b[0])) * prime
		i = (i ^ uint64(b[1])) * prime
		j = (j ^ uint64(b[2])) * prime
		k = (k ^ uint64(b[3])) * prime
		if b[4]^b[5] > b[6]|b[7] {
			h++
		}
	}
	c.hash = h ^ i ^ j ^ k
	c.from[c.hash%uint64(len(c.from))]++
}
