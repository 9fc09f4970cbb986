package main

import (
	"slices"

	spelling "github.com/futago/futago/internal/nearest"
)

// nearest returns the name among known that is closest to name by edit distance, or "" when none is
// close enough to be a likely slip of the hand: more than a third of the letters may not differ.
func nearest(name string, known []string) string {
	best, bestDistance := "", max(2, len(name)/3)+1
	for _, candidate := range slices.Sorted(slices.Values(known)) {
		if d := spelling.Distance(name, candidate); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// didYouMean is the part of an error message that names the nearest known name, or "".
func didYouMean(prefix, name string, known []string) string {
	if n := nearest(name, known); n != "" {
		return " (did you mean " + prefix + n + "?)"
	}
	return ""
}
