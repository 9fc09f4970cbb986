package main

import (
	"testing"

	"pgregory.net/rapid"
)

func counts(p placement, pairs int) []int {
	has := make([]int, pairs)
	for _, pair := range p {
		has[pair]++ // panics outside
	}
	return has
}

// TestEvenPlacements: pairs differ by one slot at most, also after one more came, and only what that one gets moves.
func TestEvenPlacements(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pairs := rapid.IntRange(1, 40).Draw(t, "pairs")
		slots := rapid.IntRange(pairs+1, 2000).Draw(t, "slots")
		p := evenly(slots, pairs)
		low, _, high := spread(counts(p, pairs))
		if mean := float64(slots) / float64(pairs); (high-low)*mean > 1.001 {
			t.Fatalf("evenly: got %v", counts(p, pairs))
		}
		next := oneMore(p, pairs)
		moved := 0
		for slot := range next {
			if next[slot] != p[slot] {
				moved++
				if next[slot] != pairs {
					t.Fatalf("slot %d: from pair %d to the old pair %d", slot, p[slot], next[slot])
				}
			}
		}
		if want := slots / (pairs + 1); moved != want {
			t.Fatalf("%d slots moved, want %d", moved, want)
		}
	})
}

func TestByLoad(t *testing.T) {
	load := []int{1, 9, 2, 3, 3}
	p := byLoad(load, 2)
	if p[1] == p[0] || p[0] != p[2] || p[2] != p[3] || p[3] != p[4] {
		t.Errorf("got %v, want the second slot alone", p)
	}
	if got := busiest(load, p, 2); got != 1 {
		t.Errorf("busiest: got %g want 1", got)
	}
}

// TestFunctions: slots are within bounds, and those of Redis are Redis'.
func TestFunctions(t *testing.T) {
	for _, f := range functions {
		for _, slots := range []int{1, 1000, 16384} {
			for _, key := range []string{"", "a", "k000000000000042", "\xff"} {
				if slot := f.slot([]byte(key), slots); slot < 0 || slot >= slots {
					t.Errorf("%s: slot of %q: got %d of %d", f.name, key, slot, slots)
				}
			}
		}
	}
	// From the documentation of Redis' cluster: the checksum's check value, and CLUSTER KEYSLOT somekey.
	if got := crc16([]byte("123456789")); got != 0x31C3 {
		t.Errorf("crc16: got %x want 31c3", got)
	}
	if got := functions[2].slot([]byte("somekey"), 16384); got != 11058 {
		t.Errorf("slot of somekey: got %d want 11058", got)
	}
}
