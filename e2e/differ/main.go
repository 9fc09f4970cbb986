//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
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
	pairs   int    // of servers that play streams at the same time: most of their time they wait
	program string
	cluster string // what --store says of the cluster behind the program, without a prefix; empty: there is none
}

func main() {
	var o options
	flag.DurationVar(&o.length, "time", 10*time.Minute, "how long requests are sent")
	flag.Uint64Var(&o.seed, "seed", 0, "decides what is sent; 0 takes a new one")
	flag.Uint64Var(&o.first, "first", 0, "the stream of the seed to begin with")
	flag.IntVar(&o.limit, "differences", 1, "end after so many differences")
	flag.IntVar(&o.pairs, "pairs", 8, "pairs of servers that play streams at the same time")
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
