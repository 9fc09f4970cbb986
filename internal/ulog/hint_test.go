package ulog

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// A large hint is sorted in groups, with the same result as at once.
func TestHintSort(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	few := rng.Uint64()
	hashes := map[string]func() uint64{
		"spread":  rng.Uint64,
		"skewed":  func() uint64 { return rng.Uint64() >> rng.UintN(20) },
		"one key": func() uint64 { return few },
		"a range": func() uint64 { return few&^(1<<52-1) | rng.Uint64()>>12 }, // a client can choose such keys
	}
	for name, hash := range hashes {
		for _, n := range []int{0, 1, fewHints, fewHints + 1, 20000} {
			checkSort(t, name, n, func(i int) hintEntry { return hintEntry{hash: hash(), seq: uint64(i + 1), packed: rng.Uint64()} })
		}
	}
}

func checkSort(t *testing.T, name string, n int, entry func(i int) hintEntry) {
	t.Helper()
	b := hintBuilder{}
	for i := range n {
		b.h.entries = append(b.h.entries, entry(i))
	}
	want := slices.Clone(b.h.entries)
	slices.SortFunc(want, compareHint)
	b.sort()
	if !slices.Equal(b.h.entries, want) {
		t.Fatalf("%s: %d entries are not in order", name, n)
	}
}
