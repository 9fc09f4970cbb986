package server

import (
	"context"
	"runtime"
)

// heavyTurns is how many commands that take long run at a time; others wait. The network loops keep a processor each: a loop that
// comes back from waiting for the network would otherwise have to wait until Go takes one from a command.
func heavyTurns(loops int) int { return max(runtime.GOMAXPROCS(0)-loops, 1) }

// turn is that of one command that takes long.
type turn struct {
	all  chan struct{} // holds one for each turn that is taken
	held bool
}

// take waits for the turn until ctx ends.
func (t *turn) take(ctx context.Context) bool {
	select {
	case t.all <- struct{}{}:
		t.held = true
	case <-ctx.Done():
	}
	return t.held
}

func (t *turn) leave() {
	if t.held {
		<-t.all
		t.held = false
	}
}

// turnKey is the key of the turn in the context of a job.
type turnKey struct{}

// inTurn runs a job that may take long when its turn has come; false when ctx ends before.
func (s *Server) inTurn(ctx context.Context, job func(ctx context.Context)) bool {
	t := &turn{all: s.turns}
	if !t.take(ctx) {
		return false
	}
	defer t.leave()
	job(context.WithValue(ctx, turnKey{}, t))
	return true
}

// Idle runs wait, in which a job does nothing but wait, maybe for another client: its turn is for others meanwhile. ctx is the job's
// or comes from it.
func (s *Server) Idle(ctx context.Context, wait func()) {
	t, ok := ctx.Value(turnKey{}).(*turn)
	if !ok {
		wait()
		return
	}
	t.leave()
	wait()
	t.take(ctx)
}
