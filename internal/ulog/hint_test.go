package ulog

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// A large hint is sorted in groups, with the same result as at once.
func TestHintSort(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 4095, 4096, 20000} {
		b := hintBuilder{}
		for i := range n {
			b.h.entries = append(b.h.entries, hintEntry{hash: rng.Uint64() >> rng.UintN(20), seq: uint64(i + 1), packed: rng.Uint64()})
		}
		want := slices.Clone(b.h.entries)
		slices.SortFunc(want, compareHint)
		b.sort()
		if !slices.Equal(b.h.entries, want) {
			t.Fatalf("%d entries are not in order", n)
		}
	}
}
