//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are what a run is given.
type options struct {
	length  time.Duration
	seed    uint64
	first   uint64 // the stream to begin with
	limit   int    // ends the run after so many differences
	program string
}

func main() {
	o := options{limit: 1}
	flag.DurationVar(&o.length, "time", 10*time.Minute, "how long requests are sent")
	flag.Uint64Var(&o.seed, "seed", 0, "decides what is sent; 0 takes a new one")
	flag.Uint64Var(&o.first, "first", 0, "the stream of the seed to begin with")
	flag.IntVar(&o.limit, "differences", 1, "end after so many differences")
	flag.StringVar(&o.program, "futago", "bin/futago", "the program under test")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "differ: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	found, _, err := run(ctx, o, os.Stdout)
	switch {
	case err != nil:
		fmt.Fprintf(os.Stderr, "differ: %v\n", err)
		os.Exit(2)
	case found > 0:
		os.Exit(1)
	}
}

// streamsOfServer is how many streams a server lives for, so that what it collects stays small.
const streamsOfServer = 3000

// run compares until the time is over or enough differences were found, and tells about them.
func run(ctx context.Context, o options, out io.Writer) (found, requests int, err error) {
	fmt.Fprintf(out, "seed %d\n", o.seed)
	deadline := time.Now().Add(o.length)
	n := o.first
	for ctx.Err() == nil && time.Now().Before(deadline) && found < o.limit {
		d, stop, err := startBoth(ctx, o.program)
		if err != nil {
			return found, requests, err
		}
		for range streamsOfServer {
			if ctx.Err() != nil || time.Now().After(deadline) || found == o.limit {
				break
			}
			text, err := d.check(o.seed, n)
			if err != nil {
				stop()
				return found, requests, fmt.Errorf("stream %d of seed %d: %w", n, o.seed, err)
			}
			if text != "" {
				found++
				fmt.Fprintf(out, "\n# stream %d of seed %d\n%s", n, o.seed, text)
			}
			n++
		}
		requests += d.requests
		stop()
	}
	fmt.Fprintf(out, "%d requests in %d streams, %d differences\n", requests, n-o.first, found)
	return found, requests, nil
}

func startBoth(ctx context.Context, program string) (d *differ, stop func(), err error) {
	m, err := startMemcached(ctx)
	if err != nil {
		return nil, nil, err
	}
	f, err := startFutago(ctx, program)
	if err != nil {
		m.stop()
		return nil, nil, err
	}
	d = &differ{memcached: &side{name: "memcached", addr: m.addr}, futago: &side{name: "futago", addr: f.addr}}
	return d, func() {
		for _, s := range []*side{d.memcached, d.futago} {
			s.closeConns()
			if s.control != nil {
				s.control.Close()
			}
		}
		m.stop()
		f.stop()
	}, nil
}

// check plays a stream, and returns the difference that it shows as text.
func (d *differ) check(seed, n uint64) (text string, err error) {
	s := newGenerator(seed, n).stream()
	_, what, err := d.play(s)
	d.requests += len(s)
	if err != nil || what == "" {
		return "", err
	}
	past, what, err := d.differs(s)
	if err != nil || what == "" {
		return "", err
	}
	if p, w, err := d.differs(d.shrink(s)); err != nil {
		return "", err
	} else if w != "" { // else it comes and goes; then the whole stream is all there is
		past, what = p, w
	}
	return transcript(past, what), nil
}
