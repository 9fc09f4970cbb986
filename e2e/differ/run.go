//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// comparison is a run: pairs of servers take the streams of a seed one after the other.
type comparison struct {
	options
	deadline time.Time

	mu       sync.Mutex
	out      io.Writer
	next     uint64 // the stream that nobody has taken yet
	found    int    // differences
	requests int    // that were compared, those of shrinking not counted
	err      error  // the first one, which ends the run
}

// run compares until the time is over or enough differences were found, and tells about them.
func run(ctx context.Context, o options, out io.Writer) (found, requests int, err error) {
	fmt.Fprintf(out, "seed %d\n", o.seed)
	c := &comparison{options: o, deadline: time.Now().Add(o.length), out: out, next: o.first}
	var pairs sync.WaitGroup
	for range max(1, o.pairs) {
		pairs.Go(func() {
			d := &differ{memcached: newMemcached(ctx), futago: newFutago(ctx, o.program, o.cluster)}
			if o.cluster != "" {
				d.further = clusterDifferences
			}
			defer d.stop()
			for {
				n, ok := c.take(ctx)
				if !ok {
					return
				}
				text, requests, err := d.check(o.seed, n)
				c.tell(n, text, requests, err)
			}
		})
	}
	pairs.Wait()
	fmt.Fprintf(out, "%d requests in %d streams, %d differences\n", c.requests, c.next-o.first, c.found)
	return c.found, c.requests, c.err
}

// take returns the stream to play next, if the run is to go on.
func (c *comparison) take(ctx context.Context) (n uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil || c.err != nil || c.found >= c.limit || time.Now().After(c.deadline) {
		return 0, false
	}
	c.next++
	return c.next - 1, true
}

// tell notes what came of a stream.
func (c *comparison) tell(n uint64, text string, requests int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests += requests
	if err != nil && c.err == nil {
		c.err = fmt.Errorf("stream %d of seed %d: %w", n, c.seed, err)
	}
	if text != "" {
		c.found++
		fmt.Fprintf(c.out, "\n# stream %d of seed %d\n%s", n, c.seed, text)
	}
}
