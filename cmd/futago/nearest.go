package main

import "slices"

// nearest returns the name among known that is closest to name by edit distance, or "" when none is
// close enough to be a likely slip of the hand: more than a third of the letters may not differ.
func nearest(name string, known []string) string {
	best, bestDistance := "", max(2, len(name)/3)+1
	for _, candidate := range slices.Sorted(slices.Values(known)) {
		if d := editDistance(name, candidate); d < bestDistance {
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

// editDistance counts the insertions, deletions and replacements of bytes that turn a into b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
