package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// silencePatience is how long a node may say nothing before the next one is asked, or whoever waits is told for which node.
const silencePatience = 2 * time.Second

// errSilent says that a node said nothing for that long.
var errSilent = errors.New("it said nothing for " + silencePatience.String())

// breakSilence watches a node that has not said anything yet: where others can be asked, the context ends with errSilent; else notes is
// told for which node the program waits. heard ends that.
func breakSilence(ctx context.Context, notes io.Writer, address string, others bool) (_ context.Context, heard func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	timer := time.AfterFunc(silencePatience, func() {
		defer close(done)
		if others {
			cancel(errSilent)
			return
		}
		fmt.Fprintf(notes, "futago: waiting for %s, which has said nothing for %v\n", address, silencePatience)
	})
	return ctx, sync.OnceFunc(func() { // a second Stop would look as if it had fired
		if !timer.Stop() {
			<-done // it may be writing
		}
	})
}

// nextAsked tells that a node is left alone.
func nextAsked(notes io.Writer, address string) {
	fmt.Fprintf(notes, "futago: %s has said nothing for %v; the next node is asked\n", address, silencePatience)
}
