//go:build linux

package main

import (
	"slices"
	"sync"
	"time"
)

// binSize is the resolution of the report's curves.
const binSize = 500 * time.Millisecond

// traffic counts operations over time.
type traffic struct {
	mu        sync.Mutex
	bins      []bin
	successes []time.Duration
}

// bin is the operations that ended in one piece of time.
type bin struct {
	succeeded, failed int
	took              []time.Duration // of those that succeeded
}

func newTraffic() *traffic { return &traffic{} }

func (t *traffic) count(at, took time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := int(at / binSize)
	for len(t.bins) <= i {
		t.bins = append(t.bins, bin{})
	}
	b := &t.bins[i]
	if !ok {
		b.failed++
		return
	}
	b.succeeded++
	b.took = append(b.took, took)
	t.successes = append(t.successes, at)
}

// totals are the numbers of operations so far.
func (t *traffic) totals() (succeeded, failed int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, b := range t.bins {
		succeeded, failed = succeeded+b.succeeded, failed+b.failed
	}
	return succeeded, failed
}

// sorted returns the times of all successes in order.
func (t *traffic) sorted() []time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.Sort(t.successes)
	return t.successes
}

// p99 is the time under which 99 of 100 operations stayed; 0 if there were none.
func (b *bin) p99() time.Duration {
	if len(b.took) == 0 {
		return 0
	}
	took := slices.Clone(b.took)
	slices.Sort(took)
	return took[(len(took)*99-1)/100]
}
