package script

import (
	"context"
	"sync"

	lua "github.com/yuin/gopher-lua"
)

// The limits of what _eval leaves behind for other states.
const (
	maxEvals     = 1024
	maxEvalBytes = 1 << 20
)

// generation is one version of the script with its states.
type generation struct {
	h     *Host
	proto *lua.FunctionProto
	calls sync.WaitGroup // Host.mu guards adding

	// idle holds a place for each state that no call uses. One without L has to be made anew.
	idle     chan place
	periodic []*state // each belongs to the goroutine of its function

	mu        sync.Mutex
	evals     []*lua.FunctionProto // what every state has to run, in this order; only appended to
	evalBytes int
}

// place is where a state lives. s is nil if it has to be made.
type place struct {
	id int
	s  *state
}

// newGeneration makes all states, and runs _begin in the first.
func newGeneration(h *Host, proto *lua.FunctionProto) (*generation, error) {
	g := &generation{
		h: h, proto: proto,
		idle:     make(chan place, h.config.PoolSize),
		periodic: make([]*state, len(h.config.Periodic)),
	}
	ctx := context.Background()
	for id := 1; id <= h.config.PoolSize; id++ {
		s, err := newState(ctx, h, g, id)
		if err == nil && id == 1 {
			err = s.hook(ctx, "_begin")
		}
		if err != nil {
			return nil, err
		}
		g.idle <- place{id, s}
	}
	return g, nil
}

// take waits for a state until ctx ends.
func (g *generation) take(ctx context.Context) (*state, error) {
	var p place
	select {
	case p = <-g.idle:
	default:
		ended := false
		g.h.config.Idle(ctx, func() {
			select {
			case p = <-g.idle:
			case <-ctx.Done():
				ended = true
			}
		})
		if ended {
			return nil, context.Cause(ctx)
		}
	}
	if p.s != nil {
		return p.s, nil
	}
	s, err := newState(ctx, g.h, g, p.id)
	if err != nil {
		g.idle <- p
		return nil, err
	}
	return s, nil
}

// give puts a state back, or the duty to make another one in its place.
func (g *generation) give(s *state) {
	p := place{s.id, s}
	if s.broken {
		s.close()
		p.s = nil
	}
	g.idle <- p
}

// finish waits until nobody uses the generation, which must no longer be the current one, and runs its _end.
func (g *generation) finish() {
	g.calls.Wait()
	for range cap(g.idle) {
		p := <-g.idle
		if p.s == nil {
			continue
		}
		if p.id == 1 {
			if err := p.s.hook(context.Background(), "_end"); err != nil {
				g.h.log.Error("_end of the script fails", "err", err)
			}
		}
		p.s.close()
	}
	for _, s := range g.periodic {
		if s != nil {
			s.close()
		}
	}
}

// share makes every state run a chunk before its next call, and says whether there is room for it.
func (g *generation) share(proto *lua.FunctionProto, size int) (int, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.evals) >= maxEvals || g.evalBytes+size > maxEvalBytes {
		return 0, false
	}
	g.evals = append(g.evals, proto)
	g.evalBytes += size
	return len(g.evals), true
}

// catchUp runs what was evaluated in other states. An error in it is told here, and is not that of the call.
func (s *state) catchUp() {
	s.g.mu.Lock()
	evals := s.g.evals
	s.g.mu.Unlock()
	private := s.private
	s.private = true
	defer func() { s.private = private }()
	for s.evaluated < len(evals) && s.ctx.Err() == nil {
		proto := evals[s.evaluated]
		s.evaluated++
		f, err := s.load(proto)
		if err == nil {
			err = s.protect(s.L, f, 0)
		}
		if err != nil {
			s.h.log.Warn("_eval fails in another state", "err", err)
		}
	}
}
