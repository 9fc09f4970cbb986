package main

import (
	"cmp"
	"slices"
)

// placement is the pair of each slot.
type placement []int

// evenly gives neighbouring slots to a pair, as many to each, or one more to the first ones.
func evenly(slots, pairs int) placement {
	p := make(placement, slots)
	for slot := range p {
		p[slot] = slot * pairs / slots
	}
	return p
}

// oneMore adds a pair: the others give it the last of the slots that are too many for them. No other slot moves.
func oneMore(p placement, pairs int) placement {
	next := slices.Clone(p)
	has := make([]int, pairs)
	for _, pair := range p {
		has[pair]++
	}
	free := len(p) / (pairs + 1) // what the new one gets
	for slot := len(p) - 1; slot >= 0 && free > 0; slot-- {
		pair := p[slot]
		if has[pair] > len(p)/(pairs+1) {
			has[pair]--
			free--
			next[slot] = pairs
		}
	}
	return next
}

// byLoad gives the slots, the busiest first, each to the pair that has the least so far.
func byLoad(load []int, pairs int) placement {
	order := make([]int, len(load))
	for slot := range order {
		order[slot] = slot
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(load[b], load[a]) })
	p, sums := make(placement, len(load)), make([]int, pairs)
	for _, slot := range order {
		least := slices.Index(sums, slices.Min(sums))
		p[slot] = least
		sums[least] += load[slot]
	}
	return p
}

// busiest is the load of the busiest pair, as a multiple of the mean.
func busiest(load []int, p placement, pairs int) float64 {
	sums := make([]int, pairs)
	for slot, pair := range p {
		sums[pair] += load[slot]
	}
	_, _, high := spread(sums)
	return high
}

// spread returns the smallest number as a part of the mean, the mean, and the largest as a multiple of it.
func spread(counts []int) (low, mean, high float64) {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	mean = float64(sum) / float64(len(counts))
	return float64(slices.Min(counts)) / mean, mean, float64(slices.Max(counts)) / mean
}

// share is the part that the largest number has of all.
func share(counts []int) float64 {
	_, _, high := spread(counts)
	return high / float64(len(counts))
}
