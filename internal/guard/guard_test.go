package guard

import (
	"flag"
	"testing"
)

// sink keeps the compiler from dropping what is measured.
var sink []byte

// benchmark runs f as `go test -bench` with -benchtime=times does.
func benchmark(t *testing.T, times string, f func(b *testing.B)) testing.BenchmarkResult {
	t.Helper()
	if err := flag.Set("test.benchtime", times); err != nil {
		t.Fatal(err)
	}
	return testing.Benchmark(f)
}

// TestMeasure checks that twice the work is seen as about that, and an allocation as one. The bounds are as wide as
// scripts/guard's.
func TestMeasure(t *testing.T) {
	var c calibration
	passes := func(n int) testing.BenchmarkResult {
		return benchmark(t, "1000x", func(b *testing.B) {
			Measure(b, func() {
				for range n {
					c.pass()
				}
			})
		})
	}
	one, four := passes(1), passes(4)
	if ratio := four.Extra[TimeUnit] / one.Extra[TimeUnit]; ratio < 2 || ratio > 8 {
		t.Errorf("four passes take %.2f times the time of one, want about 4: %v and %v", ratio, four, one)
	}
	if got := one.Extra[TimeUnit]; got < 500 || got > 2000 {
		t.Errorf("a pass of the calibration takes %.0f thousandths of itself, want about 1000", got)
	}
	if n := one.AllocsPerOp(); n != 0 {
		t.Errorf("a pass: got %d allocations, want 0", n)
	}
	r := benchmark(t, "1000x", func(b *testing.B) { Measure(b, func() { sink = make([]byte, 100) }) })
	if r.AllocsPerOp() != 1 || r.AllocedBytesPerOp() != 112 {
		t.Errorf("make of 100 bytes: got %d allocations of %d bytes, want 1 of 112", r.AllocsPerOp(), r.AllocedBytesPerOp())
	}
}

// TestMeasureLittle checks that one operation is enough to be measured.
func TestMeasureLittle(t *testing.T) {
	n := 0
	r := benchmark(t, "1x", func(b *testing.B) { Measure(b, func() { n++ }) })
	if got := r.Extra[TimeUnit]; got <= 0 || got > 100 || n < 1000 {
		t.Errorf("adding one %d times: got %v %s, want a little", n, got, TimeUnit)
	}
}
