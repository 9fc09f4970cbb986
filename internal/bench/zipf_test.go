package bench

import (
	"math"
	"testing"
)

func TestZipf(t *testing.T) {
	const draws = 200_000
	for _, n := range []int{1, 2, 3, 1000} {
		for _, skew := range []float64{0.01, 0.5, 0.99, 1 - 1e-12, 1, 1.01, 2, maxSkew} {
			z, r := newZipf(n, skew), newRandom(1, 0)
			counts := make([]int, n)
			for range draws {
				var rank uint64
				rank, r = z.draw(r)
				counts[rank]++ // panics outside
			}
			sum := 0.0
			for i := range n {
				sum += math.Pow(float64(i+1), -skew)
			}
			for i, got := range counts {
				want := draws * math.Pow(float64(i+1), -skew) / sum
				if math.Abs(float64(got)-want) > 5*math.Sqrt(want)+1 {
					t.Errorf("%d keys, skew %g: rank %d was drawn %d times, want about %.0f", n, skew, i, got, want)
				}
			}
		}
	}
}

func TestZipfOfManyDoesNotAllocate(t *testing.T) {
	z, r := newZipf(1_000_000_000, 0.7), newRandom(1, 0)
	if n := testing.AllocsPerRun(1000, func() { _, r = z.draw(r) }); n != 0 {
		t.Errorf("draw allocates %v times, want 0", n)
	}
}

func TestScatterStepReachesAll(t *testing.T) {
	for n := uint64(1); n < 300; n++ {
		step, seen := scatterStep(n), make(map[uint64]bool)
		for rank := range n {
			seen[rank*step%n] = true
		}
		if uint64(len(seen)) != n {
			t.Errorf("step %d reaches %d of %d numbers", step, len(seen), n)
		}
	}
}

func BenchmarkZipf(b *testing.B) {
	z, r := newZipf(100_000, 0.99), newRandom(1, 0)
	for b.Loop() {
		_, r = z.draw(r)
	}
}
