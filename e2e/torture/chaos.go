//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// chaos chooses faults.
type chaos struct {
	r   *run
	rng *rand.Rand
	bag []choice // every fault for every node once, in random order; what cannot begin now waits
	n   uint64   // faults so far
}

type choice struct {
	f *fault
	n *node
}

// moodLength is how long as many faults as chance has it may be there at the same time. The first time it is many, so that
// a short run meets some.
const moodLength = 8 * time.Second

// reign makes faults until ctx ends, and returns when all of them have ended. The error is of this program, not of the pair.
func (c *chaos) reign(ctx context.Context) error {
	var running sync.WaitGroup
	failed := make(chan error, 1)
	limit, moodEnd := 3, time.Now().Add(moodLength)
	for ctx.Err() == nil {
		if time.Now().After(moodEnd) {
			limit, moodEnd = [...]int{1, 1, 1, 2, 3}[c.rng.IntN(5)], time.Now().Add(moodLength)
		}
		if c.r.activeFaults() < limit {
			if x, ok := c.next(); ok {
				t := &trouble{ctx: ctx, r: c.r, n: x.n, rng: rand.New(rand.NewPCG(c.r.seed, c.n))}
				t.length = x.f.shortest + time.Duration(t.rng.Int64N(int64(x.f.longest-x.f.shortest)))
				c.n++
				e := c.r.beginFault(x)
				running.Go(func() {
					if err := x.f.do(t); err != nil {
						select {
						case failed <- fmt.Errorf("%s of node %s: %w", x.f.name, x.n.name, err):
						default:
						}
					}
					c.r.endFault(e)
				})
			}
		}
		wait := time.Duration(100+c.rng.ExpFloat64()*800) * time.Millisecond
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		case err := <-failed:
			running.Wait()
			return err
		}
	}
	running.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// next returns a fault that can begin now, with its parts taken.
func (c *chaos) next() (choice, bool) {
	if len(c.bag) == 0 {
		c.fill()
	}
	for i, x := range c.bag {
		list := x.f.takes(x.n)
		if !c.r.take(list) {
			continue
		}
		if x.f.may != nil && !x.f.may(c.r, x.n) {
			c.r.release(list)
			continue
		}
		c.bag = slices.Delete(c.bag, i, i+1)
		return x, true
	}
	return choice{}, false
}

func (c *chaos) fill() {
	for i := range faults {
		f := &faults[i]
		if f.missing != nil && f.missing(c.r) != nil {
			continue
		}
		for _, n := range c.r.nodes {
			c.bag = append(c.bag, choice{f, n})
		}
	}
	c.rng.Shuffle(len(c.bag), func(i, j int) { c.bag[i], c.bag[j] = c.bag[j], c.bag[i] })
}

func (r *run) activeFaults() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.active)
}

func (r *run) beginFault(x choice) *event {
	e := &event{span: span{r.clock.now(), never}, fault: x.f.name, node: x.n.name, parts: x.f.takes(x.n)}
	if e.parts[0] == theLink && x.f.name != "one-way cut" || len(e.parts) > 1 && e.parts[1] == processB {
		e.node = "" // both
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active[e] = true
	return e
}

func (r *run) endFault(e *event) {
	if e.parts[0] == theLink {
		r.link.set(0, conditions{})
		r.link.set(1, conditions{})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e.end = r.clock.now()
	delete(r.active, e)
	r.events = append(r.events, *e)
	for _, p := range e.parts {
		r.taken[p] = false
	}
}
